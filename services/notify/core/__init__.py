"""Core of notify: pure decisions about outreach, from (account, message or time, playbook). Start at `engine.py`."""
