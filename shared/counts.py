"""Counts by key with the latest of each, bounded: no sender chooses how much is kept."""

from typing import Any, Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Any)
V = TypeVar("V")
MAX_KEYS = 500
"""Keys counted one by one; those past it are counted together."""
MAX_LABEL = 100
"""Characters that are kept of a text which a sender chose, and which names what is counted."""
OTHER = "(other)"
"""The label of what is counted together."""


class Count(NamedTuple, Generic[K, V]):
    """How often a key was met, and what came with it last."""

    key: K
    times: int
    latest: V


class LatestCounts(Generic[K, V]):
    """In memory, since the process began. Keys can be compared; `other` stands for those past MAX_KEYS."""

    def __init__(self, other: K) -> None:
        self._other = other
        self._found: dict[K, tuple[int, V]] = {}

    def add(self, key: K, latest: V) -> None:
        """Count it."""
        if key not in self._found and len(self._found) >= MAX_KEYS:
            key = self._other
        before = self._found[key][0] if key in self._found else 0
        self._found[key] = (before + 1, latest)

    def listed(self) -> list[Count[K, V]]:
        """Every key, the most frequent first."""
        found = [Count(key, times, latest) for key, (times, latest) in self._found.items()]
        return sorted(found, key=lambda one: (-one.times, one.key))
