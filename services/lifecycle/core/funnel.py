"""How many accounts are where, and how long does a stage take? Open stays are censored, not dropped."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median
from typing import NamedTuple

_DAY = 86400.0


class Stay(NamedTuple):
    """One account's time in one stage; `left` is None while it lasts, `now` the account's own clock."""

    stage: str
    entered: datetime
    left: datetime | None
    led_to: str | None
    now: datetime

    @property
    def days(self) -> float:
        return ((self.left or self.now) - self.entered).total_seconds() / _DAY


class Figures(NamedTuple):
    """One stage's figures; days may be None where there is nothing to say."""

    stage: str
    accounts: int
    entered: int
    left: int
    median_days: float | None
    median_days_so_far: float | None
    went_to: dict[str, int]


def figures(stages: Sequence[str], stays: Iterable[Stay]) -> list[Figures]:
    """The funnel, in the order of the stages."""
    by_stage: dict[str, list[Stay]] = {stage: [] for stage in stages}
    for stay in stays:
        by_stage.setdefault(stay.stage, []).append(stay)
    return [_figures(stage, found) for stage, found in by_stage.items()]


def median_stay(stays: Sequence[Stay]) -> float | None:
    """Kaplan-Meier median in days; None while more than half of the stays last longer than any that ended."""
    at_risk, surviving = len(stays), 1.0
    for stay in sorted(stays, key=lambda one: (one.days, one.left is None)):
        if stay.left is not None:
            surviving *= 1 - 1 / at_risk
            if surviving <= 0.5 + 1e-9:
                return round(stay.days, 1)
        at_risk -= 1
    return None


def _figures(stage: str, stays: Sequence[Stay]) -> Figures:
    inside = [stay.days for stay in stays if stay.left is None]
    ended = [stay for stay in stays if stay.left is not None]
    led_to = Counter(stay.led_to for stay in ended if stay.led_to)
    so_far = round(median(inside), 1) if inside else None
    return Figures(stage, len(inside), len(stays), len(ended), median_stay(stays), so_far, dict(led_to.most_common()))
