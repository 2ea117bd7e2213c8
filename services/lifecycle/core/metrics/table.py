"""Table of metric kinds: formula, and the union of all kinds that a definition may use.

A new kind is a class with `check` and `compile` and its line in `Metric`: mypy asks for the methods of every member, and a
class without its line is refused when this module is imported, also one whose file nothing else imports.
"""

from collections.abc import Iterator
from typing import get_args

from services.lifecycle.core import metrics
from services.lifecycle.core.evaluation import Evaluation
from services.lifecycle.core.findings import Findings
from services.lifecycle.core.metrics.kind import CompiledByName, CompiledMetric, MetricKind
from services.lifecycle.core.metrics.moments import DaysSince, DaysSinceMilestone, Latest, Open
from services.lifecycle.core.metrics.traits import DaysUntil, Trait
from services.lifecycle.core.metrics.windows import ActiveDays, ActiveUsers, Count, Features, Sum, Trend, UserDays
from services.lifecycle.core.possible_values import ANYTHING, Values
from shared import kinds as kind_table
from shared.contracts.evidence import Value
from shared.definitions import At, Mistake
from shared.expr import Expr


class Formula(MetricKind, frozen=True, tag="formula"):
    """CEL over other metrics; unknown where one it needs is unknown. Whatever moves those moves it."""

    cel: str

    def values(self) -> Values:
        return ANYTHING

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.condition((*at, "cel"), self.cel)

    def compile(self, _name: str, compiled: CompiledByName) -> CompiledMetric:
        expr = Expr(self.cel)
        inputs = [compiled(name) for name in expr.names]

        def read(evaluation: Evaluation) -> Value:
            return expr.value({name: evaluation[name] for name in expr.names})

        return CompiledMetric(
            read,
            stores=frozenset[str]().union(*(metric.stores for metric in inputs)),
            classes=tuple(dict.fromkeys(name for metric in inputs for name in metric.classes)),
            needs=frozenset[str]().union(*(metric.needs for metric in inputs)) if expr.strict else frozenset(),
            timed=any(metric.timed for metric in inputs),
            exprs=(expr,),
        )


Metric = (
    Count
    | Sum
    | ActiveDays
    | ActiveUsers
    | UserDays
    | Features
    | DaysSince
    | DaysSinceMilestone
    | Latest
    | Open
    | Trait
    | DaysUntil
    | Trend
    | Formula
)
KINDS: tuple[type[MetricKind], ...] = get_args(Metric)


def demand_lines(kinds: tuple[type[MetricKind], ...]) -> None:
    """Raises TypeError for a metric kind that has no line in the table."""
    kind_table.demand_lines(MetricKind, kinds, "metric kinds without a line in Metric")


kind_table.import_modules(metrics)
demand_lines(KINDS)
