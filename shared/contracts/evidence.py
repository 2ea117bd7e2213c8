"""Evidence: the part of a message that lets a person check the decision by hand."""

from datetime import datetime
from typing import Any, Literal

import msgspec

Value = float | str | bool | None
"""A metric's value; None is unknown, which no predicate takes for true."""


ClauseKind = Literal["condition", "measure", "cap"]


class EventRef(msgspec.Struct, frozen=True, gc=False):
    """One usage event that moved a metric: enough to find it, without keeping it."""

    id: str
    name: str
    at: datetime


class Clause(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One condition of a rule, one measure of the health score or one of its caps, with the values it saw.

    condition: `text` is the CEL source (`seat_utilisation >= 0.8`), `values` the metrics it names. `threshold` is the
    literal it compared with where the clause is a plain comparison, else None.
    measure: `measure` of `dimension` scores `metric`; `values` are the metric, `points` (0 to 100, None without fresh data)
    and `weight`. It is satisfied when it counted.
    cap: while `cap` is satisfied, the score is at most `threshold`.
    """

    text: str
    values: dict[str, Value]
    satisfied: bool
    threshold: Value = msgspec.field(default_factory=lambda: None)  # a factory: so that null is written, too
    kind: ClauseKind = "condition"
    dimension: str | None = None
    measure: str | None = None
    metric: str | None = None
    cap: str | None = None


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


def upcast(message: Any) -> Any:
    """A decoded message of any age with the keys of today: a clause's `held` is `satisfied`."""
    evidence = message.get("evidence") if isinstance(message, dict) else None
    if isinstance(evidence, dict):
        evidence["clauses"] = [_upcast_clause(clause) for clause in evidence.get("clauses", [])]
    return message


def _upcast_clause(clause: Any) -> Any:
    if not isinstance(clause, dict) or "held" not in clause:
        return clause
    return {"satisfied" if key == "held" else key: value for key, value in clause.items()}
