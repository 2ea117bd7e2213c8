"""Ingest: what did the products' users do? Takes events in, drops duplicates, finds the account, archives, publishes."""
