"""What is true of an account? Pure functions of (account, usage event or time, definition): see `fold.py` first."""
