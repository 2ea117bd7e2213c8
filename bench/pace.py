"""Was an offered load kept up? Only if the last events were not older at their commit than the first, and posting was not late."""

from collections.abc import Sequence
from statistics import median

STEPS = (1.1, 1.0, 0.9, 0.8, 0.7, 0.55, 0.4, 0.25)
"""Shares of the burst rate that are offered, until one is kept up."""
_GROWTH = 0.25
_LATE = 1.05
_START = 0.15
_THIRD = 3


def kept_up(ages: Sequence[float], planned: float, took: float) -> bool:
    """`ages` in seconds, in the order of posting; posting was planned to take so long and took so long."""
    third = max(1, len(ages) // _THIRD)
    grew = median(ages[-third:]) - median(ages[:third])
    return grew <= _GROWTH and took <= planned * _LATE + _START
