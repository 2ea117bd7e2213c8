"""A simulated year: accounts of many kinds through the pure cores of lifecycle and notify, and rules for what they hear."""
