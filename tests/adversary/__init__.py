"""What outsiders and mishaps do to a running product, each with what must hold against it.

Every test talks to Waymark as the world does: HTTP with a key of one kind, mail that arrives at a server. `make guards` shows
that each fails when its guard is gone (`guards/table.py`); README.md has the list.
"""
