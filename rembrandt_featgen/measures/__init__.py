"""Measures and their statistics: arrays in, numbers out; no files, no networks."""
