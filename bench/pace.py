"""Was an offered load kept up? Only if events were young at their commit, the last no older than the first, and posting was not late."""

from collections.abc import Sequence
from statistics import median

from bench.statistics import percentile

STEPS = (1.1, 1.0, 0.9, 0.8, 0.7, 0.62, 0.55, 0.48, 0.4, 0.25)
"""Shares of the burst rate that may be offered, the largest first."""
_OLDEST = 1.0
"""Seconds: of a hundred events at most one may be older when it is committed."""
_GROWTH = 0.25
_LATE = 1.05
_START = 0.15
_THIRD = 3


def kept_up(ages: Sequence[float], planned: float, took: float) -> bool:
    """`ages` in seconds, in the order of posting; posting was planned to take so long and took so long."""
    third = max(1, len(ages) // _THIRD)
    grew = median(ages[-third:]) - median(ages[:third])
    return percentile(ages, 0.99) <= _OLDEST and grew <= _GROWTH and took <= planned * _LATE + _START
