"""How do we remember? `open_database(url)` is the only place that knows which database it is."""
