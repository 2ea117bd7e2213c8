"""Series: amounts by calendar day, in buckets that need no work while nothing happens.

`days[-1]` belongs to `last`, the latest day with anything; what is older than `keep_days` before it is dropped.
Windows are slices, so nothing is subtracted, nothing drifts, and late events land where they belong.
"""

import msgspec

MAX_DAYS = 366
"""The longest window over events."""


class Series(msgspec.Struct, array_like=True):
    """Amounts by calendar day (proleptic ordinal)."""

    last: int
    days: list[int | float]


def add(series: Series, day: int, amount: float, keep_days: int) -> None:
    """Count an amount on a day, be it late."""
    days, gap = series.days, day - series.last
    if gap == 0:
        days[-1] += amount
    elif gap > 0:
        days.extend([0] * (min(gap, keep_days) - 1))
        days.append(amount)
        del days[:-keep_days]
        series.last = day
    elif -gap < keep_days:
        missing = 1 - gap - len(days)
        if missing > 0:
            days[:0] = [0] * missing
        days[gap - 1] += amount


def take_back(series: Series, day: int) -> None:
    """Undo one counted on that day; what was dropped already stays dropped."""
    at = day - series.last - 1
    if at < 0 and -at <= len(series.days) and series.days[at] > 0:
        series.days[at] -= 1


def window(series: Series | None, day: int, days: int) -> list[int | float]:
    """The amounts of the `days` days that end with `day`."""
    if series is None:
        return []
    gap = day - series.last
    if gap < 0:
        return series.days[gap - days : gap]
    return series.days[gap - days :] if gap < days else []


def has(series: Series, day: int) -> bool:
    """Is anything counted on that day?"""
    at = day - series.last - 1
    return at < 0 and -at <= len(series.days) and series.days[at] != 0
