"""Records and arrays → tables, statistics, figures."""
