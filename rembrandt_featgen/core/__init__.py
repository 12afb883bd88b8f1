"""Plumbing: flags, the run's folder, the registry of stages, errors; knows nothing of the field."""
