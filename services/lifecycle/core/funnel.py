"""Funnel: how many accounts are in each stage, and how long a stage takes. Open visits are censored, not dropped."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median
from typing import NamedTuple

_DAY = 86400.0


class StageVisit(NamedTuple):
    """One account's time in one stage; `left_at` is None while it lasts, `clock` is the account's own time."""

    stage: str
    entered_at: datetime
    left_at: datetime | None
    next_stage: str | None
    clock: datetime

    @property
    def days(self) -> float:
        """Days in the stage, so far where the visit lasts."""
        return ((self.left_at or self.clock) - self.entered_at).total_seconds() / _DAY


class Figures(NamedTuple):
    """One stage's figures; days may be None where there is nothing to say."""

    stage: str
    accounts: int
    entered: int
    left: int
    median_days: float | None
    median_days_so_far: float | None
    went_to: dict[str, int]


def figures(stages: Sequence[str], visits: Iterable[StageVisit]) -> list[Figures]:
    """The funnel, in the order of the stages."""
    by_stage: dict[str, list[StageVisit]] = {stage: [] for stage in stages}
    for visit in visits:
        by_stage.setdefault(visit.stage, []).append(visit)
    return [_figures(stage, found) for stage, found in by_stage.items()]


def median_days(visits: Sequence[StageVisit]) -> float | None:
    """Kaplan-Meier median in days; None while more than half of the visits last longer than any that ended."""
    at_risk, surviving = len(visits), 1.0
    for visit in sorted(visits, key=lambda one: (one.days, one.left_at is None)):
        if visit.left_at is not None:
            surviving *= 1 - 1 / at_risk
            if surviving <= 0.5 + 1e-9:
                return round(visit.days, 1)
        at_risk -= 1
    return None


def _figures(stage: str, visits: Sequence[StageVisit]) -> Figures:
    inside = [visit.days for visit in visits if visit.left_at is None]
    ended = [visit for visit in visits if visit.left_at is not None]
    next_stages = Counter(visit.next_stage for visit in ended if visit.next_stage)
    so_far = round(median(inside), 1) if inside else None
    return Figures(
        stage, len(inside), len(visits), len(ended), median_days(visits), so_far, dict(next_stages.most_common())
    )
