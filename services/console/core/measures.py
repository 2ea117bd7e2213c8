"""Where does the health score come from? Its measures with their points and weights, and the caps that bind."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from services.console.core.shape import fields

_ABOUT = ("points", "weight")
_CAP = "cap "


class Measure(NamedTuple):
    """One measure: what it saw, and what that is worth. Not `counted`: no fresh data, its weight went to the others."""

    name: str
    metric: str
    value: Any
    points: Any
    weight: Any
    counted: bool


class Cap(NamedTuple):
    """What holds the score down, to `most`."""

    name: str
    most: Any
    values: Mapping[str, Any]


def measures(clauses: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Measure]]]:
    """The measures by dimension, in the definition's order."""
    found = [one for one in clauses if not _text(one).startswith(_CAP)]
    return [(name, [_measure(one) for one in group]) for name, group in groupby(found, _dimension)]


def caps(clauses: Sequence[Mapping[str, Any]]) -> list[Cap]:
    """The caps that bind now."""
    found = [one for one in clauses if _text(one).startswith(_CAP) and one.get("held")]
    return [Cap(_text(one).removeprefix(_CAP), one.get("threshold"), fields(one.get("values"))) for one in found]


def _measure(clause: Mapping[str, Any]) -> Measure:
    values = fields(clause.get("values"))
    metric, seen = next(((name, seen) for name, seen in values.items() if name not in _ABOUT), ("", None))
    name = _text(clause).partition(".")[2] or _text(clause)
    return Measure(name, metric, seen, values.get("points"), values.get("weight"), bool(clause.get("held")))


def _dimension(clause: Mapping[str, Any]) -> str:
    return _text(clause).partition(".")[0]


def _text(clause: Mapping[str, Any]) -> str:
    return str(clause.get("text") or "")
