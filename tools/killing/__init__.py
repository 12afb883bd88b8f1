"""What `tools/kill_anywhere.py` kills, when, and how it compares what is left."""
