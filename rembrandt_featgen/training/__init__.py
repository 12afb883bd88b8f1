"""Assembly: datasets from stores, callbacks that make training resumable, evaluation and scoring loops."""
