"""Step kinds of plays: each is one class and its line in `table.py`."""
