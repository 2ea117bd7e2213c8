"""Are the metrics sound? Known classes, windows that fit, formulas that end."""

from collections.abc import Iterator

from services.lifecycle.core.definition import metrics as kinds
from services.lifecycle.core.definition.findings import Findings
from shared.definitions import At, Mistake
from shared.expr import Expr, ExprError

_MISSING = "required_milestones_missing"
_PEOPLE = (kinds.ActiveUsers, kinds.UserDays, kinds.Features)
_OF_CLASS = (kinds.Count, kinds.Sum, kinds.ActiveDays, *_PEOPLE, kinds.DaysSince, kinds.Latest, kinds.Trend)


def metric_mistakes(find: Findings) -> Iterator[Mistake]:
    for name, metric in find.definition.metrics.items():
        yield from _classes(find, ("metrics", name), metric)
        yield from _spans(find, ("metrics", name), metric)
        if isinstance(metric, kinds.Formula):
            yield from find.expression(("metrics", name, "cel"), metric.cel, find.declared)
        if isinstance(metric, kinds.Features) and metric.of in find.definition.events:
            yield from _has_feature(find, name, metric)
    yield from _milestones(find)
    yield from _cycles(find)


def _classes(find: Findings, at: At, metric: kinds.Metric) -> Iterator[Mistake]:
    if isinstance(metric, _OF_CLASS):
        yield from find.event_class((*at, "of"), metric.of)
    if isinstance(metric, kinds.Open):
        for key, names in (("opened", metric.opened), ("closed", metric.closed)):
            for index, name in enumerate(names):
                yield from find.event_class((*at, key, index), name)
        for name in sorted(set(metric.opened) & set(metric.closed)):
            yield find.at((*at, "closed"), f"event class '{name}' both opens and closes")
    if isinstance(metric, kinds.DaysSinceMilestone):
        yield from find.known((*at, "of"), metric.of, "milestone", find.definition.milestones)


def _spans(find: Findings, at: At, metric: kinds.Metric) -> Iterator[Mistake]:
    days = getattr(metric, "days", None)
    most = kinds.PEOPLE_DAYS if isinstance(metric, _PEOPLE) else kinds.EVENT_DAYS
    if days is not None and not 1 <= days <= most:
        yield find.at((*at, "days"), f"a window of {days} days: from 1 to {most}")
    if isinstance(metric, kinds.Trend) and not (
        metric.recent > 0 and metric.prior > 0 and metric.recent + metric.prior <= kinds.EVENT_DAYS
    ):
        yield find.at(at, f"recent and prior must be positive and together at most {kinds.EVENT_DAYS} days")
    if isinstance(metric, kinds.Latest) and metric.expires:
        yield from find.duration((*at, "expires"), metric.expires)


def _has_feature(find: Findings, name: str, metric: kinds.Features) -> Iterator[Mistake]:
    if find.definition.events[metric.of].feature is None:
        yield find.at(("metrics", name, "of"), f"event class '{metric.of}' does not say where its feature stands")


def _milestones(find: Findings) -> Iterator[Mistake]:
    for name, milestone in find.definition.milestones.items():
        at = ("milestones", name)
        if (milestone.of is None) == (not milestone.when):
            yield find.at(at, f"milestone '{name}' needs either 'of' or 'when'")
        if milestone.of is not None:
            yield from find.event_class((*at, "of"), milestone.of)
        if milestone.when:
            yield from find.when((*at, "when"), milestone.when)
        if isinstance(milestone.required, str):
            yield from find.expression((*at, "required"), milestone.required, find.declared)


def _cycles(find: Findings) -> Iterator[Mistake]:
    """A formula that needs itself, however far around."""
    reads = {
        name: _names(metric.cel)
        for name, metric in find.definition.metrics.items()
        if isinstance(metric, kinds.Formula)
    }
    asked = [one.required for one in find.definition.milestones.values() if isinstance(one.required, str)]
    reads[_MISSING] = tuple(name for text in asked for name in _names(text))
    for name in reads:
        around = _around(name, name, reads, ())
        if around and name == min(around):
            where: At = ("milestones",) if name == _MISSING else ("metrics", name)
            yield find.at(where, f"metrics need each other in a circle: {' -> '.join((*around, name))}")


def _around(name: str, start: str, reads: dict[str, tuple[str, ...]], path: tuple[str, ...]) -> tuple[str, ...]:
    for inner in reads.get(name, ()):
        if inner == start:
            return (*path, name)
        if inner not in path and inner != name and (found := _around(inner, start, reads, (*path, name))):
            return found
    return ()


def _names(text: str) -> tuple[str, ...]:
    try:
        return Expr(text).names
    except ExprError:
        return ()
