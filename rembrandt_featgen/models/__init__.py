"""Networks and their losses: no files, no flags."""
