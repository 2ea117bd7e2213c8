"""Counts by key with the latest of each, bounded: no sender chooses how much is kept."""

from collections.abc import Iterable
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
        self._unsaved: dict[K, tuple[int, V]] = {}

    def add(self, key: K, latest: V, times: int = 1) -> None:
        """Count it."""
        if key not in self._found and len(self._found) >= MAX_KEYS:
            key = self._other
        for counts in (self._found, self._unsaved):
            before = counts[key][0] if key in counts else 0
            counts[key] = (before + times, latest)

    def listed(self) -> list[Count[K, V]]:
        """Every key, the most frequent first."""
        return most_frequent_first(self._found)

    def take_unsaved(self) -> list[Count[K, V]]:
        """What was counted since this was last asked."""
        taken, self._unsaved = self._unsaved, {}
        return most_frequent_first(taken)

    def give_back(self, counts: Iterable[Count[K, V]]) -> None:
        """They could not be saved: they are to be saved with what was counted meanwhile."""
        self._unsaved = merged(counts, self._unsaved)

    def over(self, saved: Iterable[Count[K, V]]) -> list[Count[K, V]]:
        """What is saved, and what was counted here since."""
        return most_frequent_first(merged(saved, self._unsaved))


def most_frequent_first(counts: dict[K, tuple[int, V]]) -> list[Count[K, V]]:
    """The counts, sorted; those that were met equally often by their keys."""
    found = [Count(key, times, latest) for key, (times, latest) in counts.items()]
    return sorted(found, key=lambda one: (-one.times, one.key))


def merged(earlier: Iterable[Count[K, V]], later: dict[K, tuple[int, V]]) -> dict[K, tuple[int, V]]:
    """Both together; the latest is that of the later ones."""
    both = {key: (times, latest) for key, times, latest in earlier}
    for key, (times, latest) in later.items():
        both[key] = (times + both.get(key, (0, latest))[0], latest)
    return both
