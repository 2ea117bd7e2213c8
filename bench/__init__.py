"""Bench: the speed of both deployments as a user would run them, measured from outside: `python -m bench`."""
