"""The same work by other packages; runs in .venv-peers, and imports nothing of this program but `turns`."""
