"""What `tools/benchmark` measures: a module for each subject, and `peers/` for those of a second environment."""
