"""Chaos: real processes on real servers, faults, and one checker of every promise."""
