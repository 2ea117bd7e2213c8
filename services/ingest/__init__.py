"""Ingest: accepts usage events, drops duplicates, resolves accounts, publishes canonical events to `usage.v1`."""
