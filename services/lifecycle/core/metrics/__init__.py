"""Metric kinds: one class each, with its schema, its check, what events write for it and how it is read. `table.py` lists them."""
