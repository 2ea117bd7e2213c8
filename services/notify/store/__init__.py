"""Store of notify: accounts with their consents, and deliveries with the outreach mode."""
