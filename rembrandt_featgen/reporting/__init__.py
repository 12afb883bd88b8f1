"""Pages, figures and tables, drawn from records and plain arrays; computes nothing."""
