"""What a run or a study will take, and what it could find, before hours are spent."""
