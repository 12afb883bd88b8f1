"""Pages, figures and tables, from records, tables and plain arrays; computes nothing."""
