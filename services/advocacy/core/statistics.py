"""Confidence intervals of scores: Wilson for a share, MOVER-Wilson for NPS (Wald covers 65 % where it says 95)."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from math import sqrt
from typing import NamedTuple, TypeVar

ENOUGH = 5
"""Below this many answers a figure says more about the person than about the product: it is not shown."""

_Z = 1.959963984540054

Segment = TypeVar("Segment", bound=Hashable)


class Estimate(NamedTuple):
    """A figure with its 95 % interval and the number of answers behind it."""

    value: float
    low: float
    high: float
    n: int


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    share, spread = hits / n, _Z * _Z / n
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * sqrt(share * (1 - share) / n + spread / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def share(hits: int, n: int) -> Estimate | None:
    """A share in percent (a response rate, a CSAT); None while there are too few."""
    if n < ENOUGH:
        return None
    low, high = wilson(hits, n)
    return Estimate(100 * hits / n, 100 * low, 100 * high, n)


def net(promoters: int, detractors: int, n: int) -> Estimate | None:
    """NPS: the percentage of promoters less that of detractors; None while there are too few."""
    if n < ENOUGH:
        return None
    p, d = promoters / n, detractors / n
    (p_low, p_high), (d_low, d_high) = wilson(promoters, n), wilson(detractors, n)
    variances = p * (1 - p) * d * (1 - d)
    r = -p * d / sqrt(variances) if variances else 0.0
    low = p - d - _combined(p - p_low, d_high - d, r)
    high = p - d + _combined(p_high - p, d - d_low, r)
    return Estimate(100 * (p - d), 100 * max(-1.0, low), 100 * min(1.0, high), n)


def _combined(a: float, b: float, r: float) -> float:
    return sqrt(max(0.0, a * a - 2 * r * a * b + b * b))


def by_segment(
    answers: Iterable[tuple[Segment, int]], summary: Callable[[Sequence[int]], Estimate | None]
) -> Mapping[Segment, Estimate | None]:
    """The same figure for each segment (the stage the account was at, say), in the order of their first answer."""
    groups: dict[Segment, list[int]] = {}
    for segment, score in answers:
        groups.setdefault(segment, []).append(score)
    return {segment: summary(scores) for segment, scores in groups.items()}
