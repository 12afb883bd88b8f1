"""What networks look at and look for, and the samples and arrays that figures need."""
