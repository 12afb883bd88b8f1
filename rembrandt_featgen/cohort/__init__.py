"""Cohorts of patients: finding, reading, classes, splits, duplicates, and a synthetic one (the phantom)."""
