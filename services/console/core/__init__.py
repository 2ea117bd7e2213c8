"""Core of the console: pure functions from the services' answers to what a page shows."""
