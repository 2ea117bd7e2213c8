"""Health measures with their points and weights by dimension, and the caps that bind the score."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from services.console.core.shape import fields


class Measure(NamedTuple):
    """One measure: what it saw, and what that is worth. Not `counted`: no fresh data, its weight went to the others."""

    name: str
    metric: str
    value: Any
    points: Any
    weight: Any
    counted: bool


class Cap(NamedTuple):
    """What holds the score down, to `max`."""

    name: str
    max: Any
    values: Mapping[str, Any]


def measures(clauses: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Measure]]]:
    """The measures by dimension, in the definition's order."""
    found = [clause for clause in clauses if clause.get("kind") == "measure"]
    by_dimension = groupby(found, lambda clause: str(clause.get("dimension") or ""))
    return [(name, [_measure(clause) for clause in group]) for name, group in by_dimension]


def caps(clauses: Sequence[Mapping[str, Any]]) -> list[Cap]:
    """The caps that bind now."""
    found = [clause for clause in clauses if clause.get("kind") == "cap" and clause.get("satisfied")]
    return [
        Cap(str(clause.get("cap") or ""), clause.get("threshold"), fields(clause.get("values"))) for clause in found
    ]


def _measure(clause: Mapping[str, Any]) -> Measure:
    values, metric = fields(clause.get("values")), str(clause.get("metric") or "")
    return Measure(
        name=str(clause.get("measure") or ""),
        metric=metric,
        value=values.get(metric),
        points=values.get("points"),
        weight=values.get("weight"),
        counted=bool(clause.get("satisfied")),
    )
