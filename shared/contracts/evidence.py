"""Why was this decided? The part of a message that lets a person check the decision by hand."""

from datetime import datetime

import msgspec

Value = float | str | bool | None
"""A metric's value; None is unknown, which no predicate takes for true."""


class EventRef(msgspec.Struct, frozen=True, gc=False):
    """One usage event that moved a metric: enough to find it, without keeping it."""

    id: str
    name: str
    at: datetime


class Clause(msgspec.Struct, frozen=True, gc=False):
    """One condition of a rule, the values it saw, and whether it held.

    `text` is the CEL source (`seat_utilisation >= 0.8`), `values` the metrics it names. `threshold` is the
    literal it compared with where the clause is a plain comparison, else None.
    """

    text: str
    values: dict[str, Value]
    held: bool
    threshold: Value = None


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rule that decided, under which definition, on which values, moved by which events.

    `definition` is the version (hash) of the lifecycle definition. `since` is when the conditions began to
    hold without a break, where the rule asks for a hold. `events` are the latest that moved the clauses' metrics.
    """

    rule: str
    definition: str
    reason: str
    clauses: list[Clause] = []
    events: list[EventRef] = []
    since: datetime | None = None
