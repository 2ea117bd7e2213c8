"""Backup: a database as one file, of either database, and the way back; moving between the two deployments."""
