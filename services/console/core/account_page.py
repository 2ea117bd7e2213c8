"""Account page: stages as stretches of one line, transitions out of the stage, health measures and the caps that bind."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from services.console.core.answers import fields, number, rows


class Stretch(NamedTuple):
    """One visit to a stage. `left` and `width` are percent of the line; `until` is None while it lasts."""

    stage: str
    since: str
    until: str | None
    days: int
    left: float
    width: float


def stretches(moves: Sequence[Mapping[str, Any]], clock: Any) -> list[Stretch]:
    """From the stage changes, in any order, up to the account's clock."""
    in_order = sorted(moves, key=lambda move: number(move.get("seq")))
    entered = [(at, str(move.get("stage"))) for move in in_order if (at := _at(move.get("at")))]
    if not entered:
        return []
    first, end = entered[0][0], max(_at(clock) or entered[-1][0], entered[-1][0])
    whole = max((end - first).total_seconds(), 1.0)
    ends = [*(at for at, _ in entered[1:]), end]
    return [
        Stretch(
            stage=stage,
            since=at.isoformat(),
            until=until.isoformat() if place + 1 < len(entered) else None,
            days=(until - at).days,
            left=round(100 * (at - first).total_seconds() / whole, 2),
            width=round(100 * (until - at).total_seconds() / whole, 2),
        )
        for place, ((at, stage), until) in enumerate(zip(entered, ends, strict=True))
    ]


def _at(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else None


def nearest_first(edges: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The edges, the nearest first; those as near as each other stay in the definition's order."""
    return sorted(edges, key=_share, reverse=True)


def _share(edge: Mapping[str, Any]) -> float:
    clauses = rows(edge.get("clauses"))
    satisfied = sum(1 for clause in clauses if clause.get("satisfied"))
    return 1.0 if edge.get("holds") else satisfied / (len(clauses) + 1)


class Measure(NamedTuple):
    """One measure: what it saw, and what that is worth. Not `counted`: no fresh data, its weight went to the others."""

    name: str
    metric: str
    value: Any
    points: Any
    weight: Any
    counted: bool


class Cap(NamedTuple):
    """What holds the score down, to `max`. `ahead`: it has come up since the score was last computed, which is at midnight."""

    name: str
    max: Any
    values: Mapping[str, Any]
    ahead: bool = False


def measures(clauses: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Measure]]]:
    """The measures by dimension, in the definition's order."""
    found = [clause for clause in clauses if clause.get("kind") == "measure"]
    by_dimension = groupby(found, lambda clause: str(clause.get("dimension") or ""))
    return [(name, [_measure(clause) for clause in group]) for name, group in by_dimension]


def caps(clauses: Sequence[Mapping[str, Any]], score: Any = None) -> list[Cap]:
    """The caps that bind now, of an account with this score."""
    found = [clause for clause in clauses if clause.get("kind") == "cap" and clause.get("satisfied")]
    return [
        Cap(
            name=str(clause.get("cap") or ""),
            max=clause.get("threshold"),
            values=fields(clause.get("values")),
            ahead=number(score) > number(clause.get("threshold")),
        )
        for clause in found
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
