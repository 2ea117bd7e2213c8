"""Is the health score sound? Known metrics, positive weights, points that are points."""

from collections.abc import Iterator

from services.lifecycle.core.definition.findings import Findings
from services.lifecycle.core.definition.model import Dimension, Health
from shared.definitions import At, Mistake

_MOST = 100


def health_mistakes(find: Findings) -> Iterator[Mistake]:
    health = find.definition.health
    if health is None:
        return
    yield from _bounds(find, health)
    for name, each in health.dimensions.items():
        yield from _dimension(find, ("health", "dimensions", name), each)
    for name, cap in health.caps.items():
        yield from find.when(("health", "caps", name, "when"), cap.when)
        if not 0 <= cap.max <= _MOST:
            yield find.at(("health", "caps", name, "max"), "a cap lies between 0 and 100")


def _bounds(find: Findings, health: Health) -> Iterator[Mistake]:
    yield from find.duration(("health", "new_account"), health.new_account)
    if not health.dimensions:
        yield find.at(("health", "dimensions"), "no dimensions")
    if not 0 < health.yellow < health.green <= _MOST:
        yield find.at(("health", "green"), "bands must be 0 < yellow < green <= 100")
    if not 0 <= health.min_coverage <= 1:
        yield find.at(("health", "min_coverage"), "a share lies between 0 and 1")
    if health.evaluations < 1 or health.hysteresis < 0:
        yield find.at(("health", "evaluations"), "at least one evaluation, and hysteresis not below 0")


def _dimension(find: Findings, at: At, each: Dimension) -> Iterator[Mistake]:
    if each.weight <= 0:
        yield find.at((*at, "weight"), f"weight {each.weight:g} is not positive")
    if not each.measures:
        yield find.at((*at, "measures"), "no measures")
    if each.stale_when:
        yield from find.when((*at, "stale_when"), each.stale_when)
    for name, measure in each.measures.items():
        here = (*at, "measures", name)
        yield from find.metric((*here, "metric"), measure.metric)
        if measure.weight <= 0:
            yield find.at((*here, "weight"), f"weight {measure.weight:g} is not positive")
        if not measure.points:
            yield find.at((*here, "points"), "no points")
        elif not all(0 <= points <= _MOST for points in measure.points.values()):
            yield find.at((*here, "points"), "points lie between 0 and 100")
