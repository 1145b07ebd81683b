"""Is a changed code still the same computation? Old and new are rehearsed and compared."""
