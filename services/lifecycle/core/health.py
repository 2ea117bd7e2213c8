"""How healthy is the account today? Computed at midnight only.

A measure whose metric is unknown is missing: its weight goes to the others of its dimension, and the weight of a
dimension with nothing goes to the other dimensions. `coverage` is the share of all weight that had data.
"""

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from datetime import timedelta

from services.lifecycle.core.condition import Condition, Needs
from services.lifecycle.core.definition.duration import duration
from services.lifecycle.core.definition.model import Dimension, Health, Measure
from services.lifecycle.core.turn import Turn
from shared.contracts.lifecycle import Band


@dataclass(frozen=True, slots=True)
class MeasurePlan:
    """A metric and the points for reaching each bound."""

    name: str
    metric: str
    weight: float
    needs: int
    bounds: tuple[float, ...]
    points: tuple[float, ...]

    def score(self, turn: Turn) -> float | None:
        """Points, or None where the metric is unknown."""
        value = turn[self.metric]
        if value is None or isinstance(value, str):
            return None
        at = bisect_right(self.bounds, value)
        return self.points[at - 1] if at else 0.0


@dataclass(frozen=True, slots=True)
class DimensionPlan:
    """Measures that stand for one side of the account."""

    name: str
    weight: float
    stale: Condition | None
    measures: tuple[MeasurePlan, ...]
    total: float

    def score(self, turn: Turn) -> tuple[float | None, float]:
        """Points of what is known, and the share of the weight that is."""
        if self.stale and self.stale.holds(turn):
            return None, 0.0
        points = known = 0.0
        for measure in self.measures:
            score = measure.score(turn)
            if score is not None:
                points += measure.weight * score
                known += measure.weight
        return (points / known, known / self.total) if known else (None, 0.0)


@dataclass(frozen=True, slots=True)
class HealthPlan:
    """The definition's health section, compiled."""

    rules: Health
    dimensions: tuple[DimensionPlan, ...]
    caps: tuple[tuple[str, Condition, float], ...]
    total: float
    new_account: timedelta
    _among: dict[int, tuple[DimensionPlan, ...]] = field(default_factory=dict)

    def among(self, known: int) -> tuple[DimensionPlan, ...]:
        """The dimensions with only the measures that an account can have of which these stores are known."""
        found = self._among.get(known)
        if found is None:
            found = self._among[known] = tuple(filter(None, (_known(each, known) for each in self.dimensions)))
        return found

    def evaluate(self, turn: Turn) -> tuple[float | None, float]:
        """Score and coverage. The score is None for a new account, and where too little is known."""
        account = turn.account
        if account.clock - account.first_seen < self.new_account:
            return None, 0.0
        points = weight = covered = 0.0
        for dimension in self.among(account.known_stores):
            score, share = dimension.score(turn)
            if score is not None:
                points += dimension.weight * score
                weight += dimension.weight
                covered += dimension.weight * share
        coverage = round(covered / self.total, 4)
        if not weight or coverage < self.rules.min_coverage:
            return None, coverage
        return self._capped(turn, round(points / weight, 1)), coverage

    def _capped(self, turn: Turn, score: float) -> float:
        for _, condition, most in self.caps:
            if score > most and condition.holds(turn):
                score = most
        return score

    def band(self, score: float | None, current: Band) -> Band:
        """Up at the bound; down only `hysteresis` points below it."""
        if score is None:
            return "unknown"
        slack = self.rules.hysteresis
        if score >= self.rules.green - (slack if current == "green" else 0):
            return "green"
        return "yellow" if score >= self.rules.yellow - (slack if current in {"green", "yellow"} else 0) else "red"


def compile_health(rules: Health, needs: Needs) -> HealthPlan:
    """Ready to be asked."""
    dimensions = tuple(_dimension(name, each, needs) for name, each in rules.dimensions.items())
    return HealthPlan(
        rules=rules,
        dimensions=dimensions,
        caps=tuple((name, Condition(cap.when, (), needs), cap.max) for name, cap in rules.caps.items()),
        total=sum(dimension.weight for dimension in dimensions),
        new_account=duration(rules.new_account),
    )


def _known(each: DimensionPlan, known: int) -> DimensionPlan | None:
    measures = tuple(measure for measure in each.measures if not measure.needs & ~known)
    return replace(each, measures=measures) if measures else None


def _dimension(name: str, each: Dimension, needs: Needs) -> DimensionPlan:
    measures = tuple(_measure(inner, measure, needs) for inner, measure in each.measures.items())
    stale = Condition(each.stale_when, (), needs) if each.stale_when else None
    return DimensionPlan(name, each.weight, stale, measures, sum(measure.weight for measure in measures))


def _measure(name: str, each: Measure, needs: Needs) -> MeasurePlan:
    bounds = tuple(sorted(each.points))
    return MeasurePlan(
        name, each.metric, each.weight, needs(each.metric), bounds, tuple(each.points[bound] for bound in bounds)
    )
