"""Feature generation for small, imbalanced medical imaging cohorts."""

import os

__version__ = "0.2.0"

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported: keep its start-up notes to itself
