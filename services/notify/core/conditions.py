"""Conditions of plays and budget: CEL texts compiled and checked against the names the lifecycle definition offers.

Also durations as people write them (`7d`), which plays and budget share.
"""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import NamedTuple

from shared.definitions import At, nearest
from shared.expr import Expr, ExprError

ALWAYS_READABLE = frozenset({"stage", "band", "score"})
TRAIT = "trait_"
REACHED = "_reached"

ReportMistake = Callable[..., None]
"""Called with the place (`At`), the problem and perhaps a suggestion."""

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DURATION = re.compile(r"(\d{1,4})([mhdw])")


class LifecycleNames(NamedTuple):
    """Every name of a lifecycle definition, by kind. `facts` are the usage events lifecycle forwards.

    An empty kind is not checked.
    """

    stages: frozenset[str]
    flags: frozenset[str]
    signals: frozenset[str]
    milestones: frozenset[str]
    metrics: frozenset[str]
    facts: frozenset[str] = frozenset()

    def readable(self) -> set[str]:
        """What a condition may read, besides traits."""
        return {*ALWAYS_READABLE, *self.flags, *self.metrics, *(f"{name}{REACHED}" for name in self.milestones)}


def conditions(texts: Iterable[str], at: At, report: ReportMistake, names: LifecycleNames | None) -> tuple[Expr, ...]:
    """Those that compile; what does not, or reads an unknown name, is reported."""
    compiled = (_condition(text, (*at, index), report, names) for index, text in enumerate(texts))
    return tuple(condition for condition in compiled if condition)


def duration(text: str) -> timedelta | None:
    """Whole minutes, hours, days or weeks (30m, 12h, 7d, 2w); None where it is not a duration."""
    match = _DURATION.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] if match else None


def _condition(text: str, at: At, report: ReportMistake, names: LifecycleNames | None) -> Expr | None:
    try:
        condition = Expr(text)
    except ExprError as error:
        report(at, str(error))
        return None
    readable = names.readable() if names else set(condition.names)
    for name in condition.names:
        if name not in readable and not name.startswith(TRAIT):
            report(at, f"unknown name '{name}'", nearest(name, readable))
    return condition
