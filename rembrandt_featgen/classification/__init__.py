"""Classifiers of features, ways to train them, and their export."""
