"""Core of lifecycle: pure functions of (account, usage event or time, definition). Start with `fold.py`."""
