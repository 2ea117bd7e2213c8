"""How fast is Waymark? Both deployments as a user would run them, measured from outside: `python -m bench`."""
