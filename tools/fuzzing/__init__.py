"""What tools/fuzz.py runs: readers of this program, valid small files, how these are damaged, limits, coverage."""
