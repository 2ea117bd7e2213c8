"""Simulation: the product's own code in virtual time, seed by seed, against every promise."""
