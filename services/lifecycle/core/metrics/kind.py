"""Parts that metric kinds share: the base of their schema, the compiled metric, and values of properties."""

from collections.abc import Callable
from datetime import datetime
from math import ceil
from typing import NamedTuple

from services.lifecycle.core.evaluation import Change, Evaluation, Occurrence, ReadMetric
from services.lifecycle.core.possible_values import NUMBER, Values
from services.lifecycle.core.schema_types import Strict
from shared.contracts.evidence import Value
from shared.expr import Expr
from shared.values import MAX_NUMBER

Writer = Change[Occurrence]
"""Folds an occurrence into the account. False when nothing that is read from there can have changed."""


class MetricKind(Strict, frozen=True, kw_only=True, tag_field="kind"):
    """A kind of metric. Days are calendar days (UTC) of the account's own clock; "in 7 days" is today and the six before.

    A kind has `check(find, at)`, the mistakes the types cannot find, and `compile(name, compiled)`; its line stands in
    `table.py`.
    """

    label: str = ""
    """What people call it, in reasons and in the console; unsaid, its name without underscores."""
    unit: str = ""
    """What its values are counted in (days, seats); `%` for a share, of which 0.8 is 80%."""

    def values(self) -> Values:
        """What it can be: conditions that ask for anything else are refused."""
        return NUMBER


class StoreWrite(NamedTuple):
    """Events of `event_class` write to `store`; `make` gets the longest `keep_days` any metric on the store asks for.

    `properties`: it looks into the event's properties.
    """

    event_class: str
    store: str
    make: Callable[[int], Writer]
    keep_days: int = 0
    properties: bool = False


class TypedTrait(NamedTuple):
    """A trait that a metric reads as a number or a date; `read` gives None for what is none."""

    name: str
    read: Callable[[object], object]


NextMove = Callable[[Evaluation, frozenset[float] | None], int | None]
"""The first later day (ordinal) on which time alone can make a metric another value, None where it never does.

Given numbers, only what they tell apart counts: 3 and 4 are the same to `{7}`. A day too early costs a look at the account.
"""


def every_day(evaluation: Evaluation, _literals: frozenset[float] | None) -> int | None:
    """What is always right: tomorrow."""
    return evaluation.day + 1


def counts_days(read: ReadMetric, by: int = 1) -> NextMove:
    """Of a metric that is one more (or `by`: one less) each day, once it is known."""

    def next_move(evaluation: Evaluation, literals: frozenset[float] | None) -> int | None:
        value = read(evaluation)
        if not isinstance(value, float):
            return None
        if literals is None:
            return evaluation.day + 1
        ahead = [ceil(by * literal) - by * value for literal in literals if by * literal > by * value]
        if value in literals:
            return evaluation.day + 1
        return evaluation.day + int(min(ahead)) if ahead else None

    return next_move


class CompiledMetric(NamedTuple):
    """A metric, ready to be read.

    `stores` move it, `classes` are the events that can be shown as evidence for it. It is unknown as long as one of
    the stores it `needs` was never written. `timed`: midnight may move it, next on the day that `next_move` says; one that is
    worked out by `exprs` from other metrics moves when those do.
    """

    read: ReadMetric
    stores: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()
    writes: tuple[StoreWrite, ...] = ()
    needs: frozenset[str] = frozenset()
    timed: bool = True
    typed: tuple[TypedTrait, ...] = ()
    next_move: NextMove = every_day
    exprs: tuple[Expr, ...] = ()


CompiledByName = Callable[[str], CompiledMetric]
"""The compiled metric of a name: for kinds that read other metrics."""


def scalar(value: object) -> Value:
    """A property as a metric's value: a list counts as its length, long text is cut, an object is unknown."""
    if value is None or isinstance(value, bool | str):
        return value[:200] if isinstance(value, str) else value
    if isinstance(value, list):
        return float(len(value))
    return float(value) if isinstance(value, int | float) and -MAX_NUMBER <= value <= MAX_NUMBER else None


def days_between(evaluation: Evaluation, since: datetime) -> float:
    """Calendar days from then to the account's today."""
    return float(evaluation.day - since.toordinal())
