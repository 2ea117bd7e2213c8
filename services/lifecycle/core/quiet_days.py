"""Quiet days: the next day on which time alone can decide anything about an account, so that a gap is a jump and no loop.

After a midnight that changed nothing, the next changes nothing either unless something is told apart that was not before: a
value on the other side of a number that a rule or a measure compares it with, a window that loses a day, a hold, dwell or
cooldown that is over. The first of those days is what is asked for here; a day too early costs a look, a day too late would
be another result.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import NamedTuple

from services.lifecycle.core.evaluation import DAY, Evaluation, midnight
from services.lifecycle.core.health import CompiledHealth
from services.lifecycle.core.metrics.kind import CompiledMetric, NextMove
from services.lifecycle.core.rules import Condition, EdgeRule, Rule, SignalRule
from services.lifecycle.core.state import Account

Literals = frozenset[float] | None
"""The numbers that a metric is compared with; None: every other value may matter."""


class Standing(NamedTuple):
    """All of an account that a midnight may change besides its clock: two that are equal stand around a quiet one."""

    seq: int
    health: tuple[object, ...]
    holding_since: dict[str, datetime]
    active_signals: list[bool]


def standing(account: Account) -> Standing:
    """How the account stands."""
    health = account.health
    return Standing(
        account.seq,
        (health.band, health.score, health.coverage, health.candidate, health.candidate_evaluations),
        dict(account.holding_since),
        [signal.active for signal in account.signals.values()],
    )


@dataclass(frozen=True, slots=True)
class QuietDays:
    """What of one definition waits for time: its metrics, and the holds, dwells and cooldowns of its rules."""

    watched: tuple[tuple[NextMove, Literals], ...]
    holds: tuple[tuple[str, timedelta], ...]
    edges: tuple[EdgeRule, ...]
    signals: tuple[SignalRule, ...]
    new_account: timedelta

    def next_busy_day(self, evaluation: Evaluation) -> int | None:
        """The first day (ordinal) after this quiet midnight that may bring anything; None where none ever does."""
        days = [day for move, literals in self.watched if (day := move(evaluation, literals)) is not None]
        for over in self._over(evaluation.account):
            day = _first_midnight(over)
            if day > evaluation.day:
                days.append(day)
        return min(days, default=None)

    def _over(self, account: Account) -> Iterator[datetime]:
        """When what runs is over."""
        yield account.first_seen + self.new_account
        for name, hold in self.holds:
            if since := account.holding_since.get(name):
                yield since + hold
        for edge in self.edges:
            if account.stage in edge.sources:
                yield account.entered_at + edge.min_dwell
        for signal in self.signals:
            if raised := account.signals.get(signal.name):
                yield raised.at + signal.cooldown


def quiet_days(
    metrics: Mapping[str, CompiledMetric],
    rules: Iterable[Rule],
    edges: Iterable[EdgeRule],
    signals: Iterable[SignalRule],
    health: CompiledHealth | None,
) -> QuietDays:
    """Of a definition's compiled parts; `rules` are all of them."""
    rules = tuple(rules)
    watched: dict[str, Literals] = {}

    def compare(name: str, literals: Literals) -> None:
        metric = metrics[name]
        if not metric.timed:
            return
        for expr in metric.exprs:
            _each(expr.literals, compare)
        if not metric.exprs:
            before = watched.get(name, frozenset())
            watched[name] = (
                None if literals is None or before is None else before | frozenset(filter(isfinite, literals))
            )

    for condition in (*(rule.condition for rule in rules), *_conditions(health)):
        for test in condition.tests:
            _each(test.expr.literals, compare)
    for dimension in health.dimensions if health else ():
        for measure in dimension.measures:
            compare(measure.metric, frozenset(measure.bounds))
    return QuietDays(
        watched=tuple((metrics[name].next_move, literals) for name, literals in watched.items()),
        holds=tuple((rule.name, rule.hold) for rule in rules if rule.hold),
        edges=tuple(edge for edge in edges if edge.min_dwell),
        signals=tuple(signal for signal in signals if signal.cooldown),
        new_account=health.new_account if health else timedelta(),
    )


def _each(literals: Mapping[str, Literals], compare: Callable[[str, Literals], None]) -> None:
    for name, numbers in literals.items():
        compare(name, numbers)


def _conditions(health: CompiledHealth | None) -> Iterator[Condition]:
    if health is not None:
        yield from (dimension.stale for dimension in health.dimensions if dimension.stale is not None)
        yield from (condition for _, condition, _ in health.caps)


def _first_midnight(at: datetime) -> int:
    """The day that begins then or, within a day, next."""
    day = midnight(at)
    return (day if day == at else day + DAY).toordinal()
