"""Who should hear from us now, and who not? Pure functions of (account, message or time, playbook): see `engine.py` first."""
