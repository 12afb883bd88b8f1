"""Feature generation for small, imbalanced medical imaging cohorts."""

__version__ = "0.1.0"
