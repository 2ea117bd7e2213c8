"""Which way out of the stage is the nearest? The one with the largest share of its conditions held comes first."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.console.core.shape import rows


def nearest_first(edges: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The edges, the nearest first; those as near as each other stay in the definition's order."""
    return sorted(edges, key=_share, reverse=True)


def _share(edge: Mapping[str, Any]) -> float:
    clauses = rows(edge.get("clauses"))
    held = sum(1 for clause in clauses if clause.get("satisfied"))
    return 1.0 if edge.get("holds") else held / (len(clauses) + 1)
