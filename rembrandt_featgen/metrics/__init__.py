"""Measures and their statistics: tensors or arrays in, numbers out; no paths, no state."""
