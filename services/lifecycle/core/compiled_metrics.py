"""Compiled metrics of a definition: the declared ones, and the built-in ones that every account has."""

from typing import assert_never, get_args

from services.lifecycle.core.changes import FIRST_SEEN, FLAGS, HEALTH, MILESTONES, STAGE
from services.lifecycle.core.definition import Definition
from services.lifecycle.core.evaluation import Evaluation, ReadMetric
from services.lifecycle.core.metrics.kind import CompiledByName, CompiledMetric, days_between
from services.lifecycle.core.metrics.traits import trait_store
from shared.contracts.lifecycle import BuiltInMetric
from shared.expr import Expr

BUILT_IN: tuple[BuiltInMetric, ...] = get_args(BuiltInMetric)


def compile_metrics(definition: Definition) -> dict[str, CompiledMetric]:
    """Every name a condition may use. The definition is sound: `check` has found no cycle."""
    metrics = _of_milestones_and_flags(definition)

    def compiled(name: str) -> CompiledMetric:
        if name not in metrics:
            metrics[name] = compile_one(name)
        return metrics[name]

    def compile_one(name: str) -> CompiledMetric:
        for built_in in BUILT_IN:
            if name == built_in:
                return _built_in(built_in, definition, compiled)
        return _with_setters(definition.metrics[name].compile(name, compiled), definition)

    for name in (*BUILT_IN, *definition.metrics):
        compiled(name)
    return metrics


def _built_in(  # noqa: PLR0911  one for each name
    name: BuiltInMetric, definition: Definition, compiled: CompiledByName
) -> CompiledMetric:
    match name:
        case "stage":
            return CompiledMetric(lambda now: now.account.stage, frozenset({STAGE}), timed=False)
        case "days_in_stage":
            return CompiledMetric(lambda now: days_between(now, now.account.entered_at), frozenset({STAGE}))
        case "tenure_days":
            return CompiledMetric(lambda now: days_between(now, now.account.first_seen), frozenset({FIRST_SEEN}))
        case "days_since_progress":
            return CompiledMetric(
                _days_since_progress, frozenset({MILESTONES, FIRST_SEEN}), milestone_classes(definition)
            )
        case "required_milestones_missing":
            return _milestones_missing(definition, compiled)
        case "health_score":
            return CompiledMetric(lambda now: now.account.health.score, frozenset({HEALTH}), timed=False)
        case "health_band":
            return CompiledMetric(lambda now: now.account.health.band, frozenset({HEALTH}), timed=False)
        case "health_coverage":
            return CompiledMetric(lambda now: now.account.health.coverage, frozenset({HEALTH}), timed=False)
        case _:
            assert_never(name)


def milestone_classes(definition: Definition) -> tuple[str, ...]:
    """The event classes that reach milestones."""
    return tuple(dict.fromkeys(milestone.of for milestone in definition.milestones.values() if milestone.of))


def _of_milestones_and_flags(definition: Definition) -> dict[str, CompiledMetric]:
    reached = {
        f"{name}_reached": CompiledMetric(
            _is_reached(name), frozenset({MILESTONES}), (milestone.of,) if milestone.of else (), timed=False
        )
        for name, milestone in definition.milestones.items()
    }
    flags = {name: CompiledMetric(_is_raised(name), frozenset({FLAGS}), timed=False) for name in definition.flags}
    return {**reached, **flags}


def _milestones_missing(definition: Definition, compiled: CompiledByName) -> CompiledMetric:
    """How many required milestones are not reached; each may have the condition under which it is required."""
    required = {
        name: Expr(milestone.required) if isinstance(milestone.required, str) else None
        for name, milestone in definition.milestones.items()
        if milestone.required
    }
    inputs = [compiled(name) for expr in required.values() if expr is not None for name in expr.names]

    def read(evaluation: Evaluation) -> float:
        reached = evaluation.account.milestones
        return float(sum(name not in reached and _holds(expr, evaluation) for name, expr in required.items()))

    stores = frozenset({MILESTONES}).union(*(metric.stores for metric in inputs))
    return CompiledMetric(read, stores, milestone_classes(definition), timed=any(metric.timed for metric in inputs))


def _holds(expr: Expr | None, evaluation: Evaluation) -> bool:
    return expr is None or expr.holds({name: evaluation[name] for name in expr.names})


def _days_since_progress(evaluation: Evaluation) -> float:
    """Days since the last milestone, or since the account was first seen."""
    account = evaluation.account
    return days_between(evaluation, max(account.milestones.values(), default=account.first_seen))


def _is_reached(milestone: str) -> ReadMetric:
    return lambda evaluation: milestone in evaluation.account.milestones


def _is_raised(flag: str) -> ReadMetric:
    return lambda evaluation: flag in evaluation.account.flags


def _with_setters(metric: CompiledMetric, definition: Definition) -> CompiledMetric:
    """A trait may also have been set by an event: then that event is evidence."""
    setters = [
        name for name, of in definition.events.items() for trait in of.sets if trait_store(trait) in metric.stores
    ]
    return metric._replace(classes=(*metric.classes, *setters))
