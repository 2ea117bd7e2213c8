"""Tolerant reading of the services' answers: a value of an unexpected type counts as absent, so a page never breaks."""

from collections.abc import Iterable
from typing import Any


def fields(of: Any) -> dict[str, Any]:
    """A thing with fields, else one without any."""
    return of if isinstance(of, dict) else {}


def listed(of: Any) -> list[Any]:
    """A list, else an empty one."""
    return of if isinstance(of, list) else []


def rows(of: Any) -> list[dict[str, Any]]:
    """The things with fields of a list."""
    return [one for one in listed(of) if isinstance(one, dict)]


def number(of: Any) -> float:
    """A number, else nought."""
    return of if isinstance(of, int | float) else 0


def pairs(of: Any) -> list[tuple[str, Any]]:
    """Names with their values, by name."""
    return sorted(fields(of).items())


def largest(of: Any) -> list[tuple[str, float]]:
    """Names with their counts, the largest first; what is no count is left out."""
    counts = [(name, count) for name, count in fields(of).items() if isinstance(count, int | float)]
    return sorted(counts, key=lambda pair: -pair[1])


def total(counts: Iterable[tuple[str, float]]) -> float:
    """All of the counts together."""
    return sum(count for _, count in counts)
