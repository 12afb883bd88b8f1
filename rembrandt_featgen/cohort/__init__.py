"""Cohorts of patients as NIfTI files: finding, reading, splitting, and a synthetic one (the phantom)."""
