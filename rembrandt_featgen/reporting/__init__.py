"""Figures and the self-contained HTML report, drawn from plain arrays and dictionaries."""
