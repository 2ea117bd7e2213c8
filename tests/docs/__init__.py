"""Tests of the documentation, and what generates its reference."""
