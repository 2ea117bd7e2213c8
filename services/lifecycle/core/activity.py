"""Activity by calendar day: series of amounts, and bitmaps of the members (users, features) seen.

A series has a bucket for each day and needs no work while nothing happens: `days[-1]` belongs to `last`, the latest day with
anything; what is older than `keep_days` before it is dropped. Windows are slices, so nothing is subtracted, nothing drifts,
and late events land where they belong.

A member has a 64-bit bitmap: bit i of `bits` is: seen i days before `last`. `newest` counts members by the last day they
were seen, so members active in a window are a sum over days, not over members; `pairs` counts (member, day) pairs by day.
"""

import msgspec

MAX_SERIES_DAYS = 366
"""The longest window over events."""
MAX_MEMBER_DAYS = 64
"""The longest window over members: a bitmap has so many bits."""
_MASK = (1 << MAX_MEMBER_DAYS) - 1


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


def next_change(series: Series | None, day: int, days: int) -> int | None:
    """The first later day whose window of `days` days holds something else than that of `day`; None where none does."""
    if series is None:
        return None
    for counted, amount in enumerate(series.days, series.last - len(series.days) + 1):
        if amount and counted > day - days:
            return counted if counted > day else min(counted + days, _first_after(series, day) or counted + days)
    return None


def _first_after(series: Series, day: int) -> int | None:
    """The first day after that on which anything is counted."""
    counts = enumerate(series.days, series.last - len(series.days) + 1) if series.last > day else ()
    return next((counted for counted, amount in counts if amount and counted > day), None)


def has(series: Series, day: int) -> bool:
    """Is anything counted on that day?"""
    at = day - series.last - 1
    return at < 0 and -at <= len(series.days) and series.days[at] != 0


class Seen(msgspec.Struct, array_like=True, gc=False):
    """One member's bitmap, anchored at the last day seen: nobody needs to shift it while it is silent."""

    last: int
    bits: int


class ActiveMembers(msgspec.Struct, array_like=True):
    """All members seen within 64 days, and their sums by day."""

    newest: Series
    pairs: Series
    members: dict[str, Seen] = {}


def nobody(day: int) -> ActiveMembers:
    """No member yet."""
    return ActiveMembers(Series(day, [0]), Series(day, [0]))


def see(active: ActiveMembers, member: str, day: int, max_members: int) -> bool:
    """A member was there on that day. False when that was known, or when there are too many."""
    seen = active.members.get(member)
    if seen is None:
        if len(active.members) >= max_members:
            return False
        active.members[member] = Seen(day, 1)
        add(active.newest, day, 1, MAX_MEMBER_DAYS)
    elif not _mark(active, seen, day):
        return False
    add(active.pairs, day, 1, MAX_MEMBER_DAYS)
    return True


def _mark(active: ActiveMembers, seen: Seen, day: int) -> bool:
    gap = day - seen.last
    if gap > 0:
        take_back(active.newest, seen.last)
        add(active.newest, day, 1, MAX_MEMBER_DAYS)
        seen.bits = (seen.bits << gap | 1) & _MASK if gap < MAX_MEMBER_DAYS else 1
        seen.last = day
        return True
    bit = 1 << -gap if -gap < MAX_MEMBER_DAYS else 0
    if not bit or seen.bits & bit:
        return False
    seen.bits |= bit
    return True


def count_members(active: ActiveMembers | None, day: int, days: int) -> int | float:
    """Members seen in the window."""
    return sum(window(active.newest, day, days)) if active else 0


def count_member_days(active: ActiveMembers | None, day: int, days: int) -> int | float:
    """Member-days in the window."""
    return sum(window(active.pairs, day, days)) if active else 0


def remove(active: ActiveMembers, member: str) -> bool:
    """A member left: no window counts it among the active any more. Its past days stay counted. False where it was none."""
    seen = active.members.pop(member, None)
    if seen is None:
        return False
    take_back(active.newest, seen.last)
    return True


def drop_inactive(active: ActiveMembers, day: int) -> None:
    """Drop the members whose bitmap is empty by now."""
    gone = [member for member, seen in active.members.items() if day - seen.last >= MAX_MEMBER_DAYS]
    for member in gone:
        del active.members[member]
