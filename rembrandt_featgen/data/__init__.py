"""Shards on disk, the datasets read from them, and augmentation on the graph."""
