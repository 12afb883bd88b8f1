"""Assembly: datasets from shards, callbacks that make training resumable, evaluation and scoring loops."""
