"""Fixtures of the adversary's suite."""

from tests.golden.conftest import golden

__all__ = ["golden"]
