"""Plans, arms, trials and what follows from their predictions."""
