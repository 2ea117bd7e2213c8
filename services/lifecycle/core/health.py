"""Health: the score and its band, computed at midnight only, with every measure and cap behind it.

A measure whose metric is unknown is missing: its weight goes to the others of its dimension, and the weight of a
dimension with nothing goes to the other dimensions. `coverage` is the share of all weight that had data.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from services.lifecycle.core.definition import Dimension, Health, Measure
from services.lifecycle.core.evaluation import HEALTH, Evaluation, set_band, set_score
from services.lifecycle.core.rules import Condition, Needs, format_value
from services.lifecycle.core.schema_types import duration
from services.lifecycle.core.state import HealthState, latest_events
from shared.contracts.evidence import Clause
from shared.contracts.lifecycle import Band, HealthChanged
from shared.values import read_number


@dataclass(frozen=True, slots=True)
class CompiledMeasure:
    """A metric and the points for reaching each bound."""

    name: str
    metric: str
    weight: float
    needs: int
    bounds: tuple[float, ...]
    points: tuple[float, ...]

    def score(self, evaluation: Evaluation) -> float | None:
        """Points, or None where the metric is unknown."""
        value = evaluation[self.metric]
        if isinstance(value, str):
            value = read_number(value)
        if value is None:
            return None
        at = bisect_right(self.bounds, value)
        return self.points[at - 1] if at else 0.0


@dataclass(frozen=True, slots=True)
class CompiledDimension:
    """Measures that stand for one side of the account."""

    name: str
    weight: float
    stale: Condition | None
    measures: tuple[CompiledMeasure, ...]
    total: float

    def score(self, evaluation: Evaluation) -> tuple[float | None, float]:
        """Points of what is known, and the share of the weight that is."""
        if self.stale and self.stale.holds(evaluation):
            return None, 0.0
        points = known_weight = 0.0
        for measure in self.measures:
            score = measure.score(evaluation)
            if score is not None:
                points += measure.weight * score
                known_weight += measure.weight
        return (points / known_weight, known_weight / self.total) if known_weight else (None, 0.0)


@dataclass(frozen=True, slots=True)
class CompiledHealth:
    """The definition's health section, compiled. `classes` are the event classes that can stand as evidence for the score."""

    rules: Health
    classes: tuple[str, ...]
    dimensions: tuple[CompiledDimension, ...]
    caps: tuple[tuple[str, Condition, float], ...]
    total: float
    new_account: timedelta
    _measurable: dict[int, tuple[CompiledDimension, ...]] = field(default_factory=dict)

    def measurable(self, known_stores: int) -> tuple[CompiledDimension, ...]:
        """The dimensions with only the measures that an account can have of which these stores are known."""
        found = self._measurable.get(known_stores)
        if found is None:
            measurable = (_measurable(each, known_stores) for each in self.dimensions)
            found = self._measurable[known_stores] = tuple(filter(None, measurable))
        return found

    def evaluate(self, evaluation: Evaluation) -> tuple[float | None, float]:
        """Score and coverage. The score is None for a new account, and where too little is known."""
        account = evaluation.account
        if account.clock - account.first_seen < self.new_account:
            return None, 0.0
        points = weight = covered = 0.0
        for dimension in self.measurable(account.known_stores):
            score, share = dimension.score(evaluation)
            if score is not None:
                points += dimension.weight * score
                weight += dimension.weight
                covered += dimension.weight * share
        coverage = round(covered / self.total, 4)
        if not weight or coverage < self.rules.min_coverage:
            return None, coverage
        return self._capped(evaluation, round(points / weight, 1)), coverage

    def _capped(self, evaluation: Evaluation, score: float) -> float:
        for _, condition, max_score in self.caps:
            if score > max_score and condition.holds(evaluation):
                score = max_score
        return score

    def band(self, score: float | None, current: Band) -> Band:
        """Up at the bound; down only `hysteresis` points below it."""
        if score is None:
            return "unknown"
        slack = self.rules.hysteresis
        if score >= self.rules.green - (slack if current == "green" else 0):
            return "green"
        return "yellow" if score >= self.rules.yellow - (slack if current in {"green", "yellow"} else 0) else "red"


def compile_health(rules: Health, classes: tuple[str, ...], needs: Needs) -> CompiledHealth:
    """Ready to be asked."""
    dimensions = tuple(_dimension(name, each, needs) for name, each in rules.dimensions.items())
    return CompiledHealth(
        rules=rules,
        classes=classes,
        dimensions=dimensions,
        caps=tuple((name, Condition(cap.when, (), needs), cap.max) for name, cap in rules.caps.items()),
        total=sum(dimension.weight for dimension in dimensions),
        new_account=duration(rules.new_account),
    )


def _measurable(each: CompiledDimension, known_stores: int) -> CompiledDimension | None:
    measures = tuple(measure for measure in each.measures if not measure.needs & ~known_stores)
    return replace(each, measures=measures) if measures else None


def _dimension(name: str, each: Dimension, needs: Needs) -> CompiledDimension:
    measures = tuple(_measure(inner, measure, needs) for inner, measure in each.measures.items())
    stale = Condition(each.stale_when, (), needs) if each.stale_when else None
    return CompiledDimension(name, each.weight, stale, measures, sum(measure.weight for measure in measures))


def _measure(name: str, each: Measure, needs: Needs) -> CompiledMeasure:
    bounds = tuple(sorted(each.points))
    return CompiledMeasure(
        name, each.metric, each.weight, needs(each.metric), bounds, tuple(each.points[bound] for bound in bounds)
    )


def evaluate_health(evaluation: Evaluation, health: CompiledHealth) -> None:
    """Remember today's score, and announce another band when it has been so often enough."""
    state = evaluation.account.health
    evaluation.write_one(HEALTH, set_score, health.evaluate(evaluation))
    band = health.band(state.score, state.band)
    if _is_confirmed(state, band, health.rules.evaluations):
        _announce(evaluation, health, band)


def _is_confirmed(state: HealthState, band: Band, evaluations: int) -> bool:
    """Has it been this other band for enough evaluations? Into and out of unknown, one is enough."""
    if band == state.band:
        state.candidate, state.candidate_evaluations = band, 0
        return False
    state.candidate_evaluations = state.candidate_evaluations + 1 if band == state.candidate else 1
    state.candidate = band
    return state.candidate_evaluations >= evaluations or "unknown" in {band, state.band}


def _announce(evaluation: Evaluation, health: CompiledHealth, band: Band) -> None:
    account = evaluation.account
    state, previous = account.health, account.health.band
    state.candidate_evaluations = 0
    evaluation.write_one(HEALTH, set_band, band)
    clauses = list(breakdown(evaluation, health))
    events = latest_events(account, health.classes)
    evaluation.record_decision(
        HealthChanged,
        previous=previous,
        band=band,
        score=state.score,
        coverage=state.coverage,
        evidence=evaluation.evidence("health", _reason(state), events, clauses),
        snapshot=evaluation.snapshot(),
    )


def breakdown(evaluation: Evaluation, health: CompiledHealth) -> Iterator[Clause]:
    """Each measure with its value, points and weight, satisfied where it counted; then the caps, satisfied where they bind."""
    for dimension in health.dimensions:
        stale = dimension.stale is not None and dimension.stale.holds(evaluation)
        for measure in dimension.measures:
            score = None if stale else measure.score(evaluation)
            values = {measure.metric: evaluation[measure.metric], "points": score, "weight": measure.weight}
            yield Clause(
                text=f"{dimension.name}.{measure.name}",
                values=values,
                satisfied=score is not None,
                kind="measure",
                dimension=dimension.name,
                measure=measure.name,
                metric=measure.metric,
            )
    for name, condition, max_score in health.caps:
        values = {of: evaluation[of] for of in condition.names}
        yield Clause(f"cap {name}", values, condition.holds(evaluation), max_score, kind="cap", cap=name)


def _reason(state: HealthState) -> str:
    coverage = f"{state.coverage:.0%} of the score's weight had data"
    if state.score is None:
        return f"Health is unknown: {coverage}."
    return f"Health is {state.band} at {format_value(state.score)} of 100; {coverage}."
