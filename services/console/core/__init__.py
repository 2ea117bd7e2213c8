"""What is on a page? Pure functions from the services' answers to what a person reads."""
