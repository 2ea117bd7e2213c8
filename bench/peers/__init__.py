"""Peers: what a user would pick instead. One folder each: a small program and its exact versions."""
