"""Activity by calendar day: series of amounts, and bitmaps of the members (users, features) seen.

A series has a bucket for each day and needs no work while nothing happens: `days[-1]` belongs to `last`, the latest day with
anything; what is older than `keep_days` before it is dropped. Windows are slices, so nothing is subtracted, nothing drifts,
and late events land where they belong.

A member has a 64-bit bitmap: bit i of `bits` is: seen i days before `last`. `newest` counts members by the last day they
were seen, so members active in a window are a sum over days, not over members; `pairs` counts (member, day) pairs by day.
Who was removed is in `gone`, not in `members`, until they are seen after their removal, in whatever order that is told.
"""

import msgspec

MAX_SERIES_DAYS = 366
"""The longest window over events."""
MAX_MEMBER_DAYS = 64
"""The longest window over members: a bitmap has so many bits."""
_MASK = (1 << MAX_MEMBER_DAYS) - 1
_FEW = 1000
"""Of so many members each is looked at for a window of the past; of more, those count that were not seen since."""
_DECIMALS = 6
"""Amounts are summed as so many decimals, which makes the sum the same in whatever order they come."""


class Series(msgspec.Struct, array_like=True):
    """Amounts by calendar day (proleptic ordinal)."""

    last: int
    days: list[int | float]


def add(series: Series, day: int, amount: float, keep_days: int) -> None:
    """Count an amount on a day, be it late."""
    days, gap = series.days, day - series.last
    if gap == 0:
        days[-1] = _sum(days[-1], amount)
    elif gap > 0:
        days.extend([0] * (min(gap, keep_days) - 1))
        days.append(_sum(0, amount))
        del days[:-keep_days]
        series.last = day
    elif -gap < keep_days:
        missing = 1 - gap - len(days)
        if missing > 0:
            days[:0] = [0] * missing
        days[gap - 1] = _sum(days[gap - 1], amount)


def _sum(before: float, amount: float) -> float:
    total = before + amount
    return total if total.__class__ is int else round(total, _DECIMALS)


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
    """One member's bitmap, anchored at the last day seen: nobody needs to shift it while it is silent.

    `second` of that day is when they were last there, which a removal on the same day is held against.
    """

    last: int
    bits: int
    second: int = 0


Instant = tuple[int, int]
"""A day (proleptic ordinal) and a second of it."""


class ActiveMembers(msgspec.Struct, array_like=True):
    """All members seen within 64 days, and their sums by day."""

    newest: Series
    pairs: Series
    members: dict[str, Seen] = {}
    gone: dict[str, Seen] = {}


def nobody(day: int) -> ActiveMembers:
    """No member yet."""
    return ActiveMembers(Series(day, [0]), Series(day, [0]))


def see(
    active: ActiveMembers, member: str, day: int, max_members: int, second: int = 0, left: Instant | None = None
) -> bool:
    """A member was there on that day. False when that was known, or when there are too many. `left`: when they were removed."""
    seen = active.members.get(member)
    if seen is None:
        if left is not None or member in active.gone:
            return _see_departed(active, member, (day, second), max_members, left)
        if len(active.members) >= max_members:
            return False
        active.members[member] = Seen(day, 1, second)
        add(active.newest, day, 1, MAX_MEMBER_DAYS)
    else:
        before = seen.last
        if not _mark(seen, day, second):
            return False
        if seen.last != before:
            take_back(active.newest, before)
            add(active.newest, day, 1, MAX_MEMBER_DAYS)
    add(active.pairs, day, 1, MAX_MEMBER_DAYS)
    return True


def _mark(seen: Seen, day: int, second: int) -> bool:
    """Note the day. False when it was noted, or is too long ago."""
    gap = day - seen.last
    if gap == 0:
        seen.second = max(seen.second, second)
        return False
    if gap > 0:
        seen.bits = (seen.bits << gap | 1) & _MASK if gap < MAX_MEMBER_DAYS else 1
        seen.last, seen.second = day, second
        return True
    bit = 1 << -gap if -gap < MAX_MEMBER_DAYS else 0
    if not bit or seen.bits & bit:
        return False
    seen.bits |= bit
    return True


def _see_departed(active: ActiveMembers, member: str, at: Instant, max_members: int, left: Instant | None) -> bool:
    """Somebody who was removed: back, if that is after their removal; else only the day is counted, as it would have been."""
    seen, is_back = active.gone.get(member), left is None or at > left
    is_new = _mark(seen, *at) if seen is not None else True
    if seen is None:
        seen = Seen(at[0], 1, at[1])
        if not is_back:
            active.gone[member] = seen
    if is_back:
        if len(active.members) >= max_members:
            return False
        active.gone.pop(member, None)
        active.members[member] = seen
        add(active.newest, seen.last, 1, MAX_MEMBER_DAYS)
    if is_new:
        add(active.pairs, at[0], 1, MAX_MEMBER_DAYS)
    return is_new or is_back


def count_members(active: ActiveMembers | None, day: int, days: int) -> int | float:
    """Members seen in the window; of the past, as it is known now."""
    if active is None:
        return 0
    if active.newest.last > day and len(active.members) <= _FEW:
        return sum(_was_seen(seen, day, days) for seen in active.members.values())
    return sum(window(active.newest, day, days))


def _was_seen(seen: Seen, day: int, days: int) -> bool:
    gap = seen.last - day
    bits = seen.bits >> gap if gap >= 0 else seen.bits << -gap
    return bits & ((1 << days) - 1) != 0


def count_member_days(active: ActiveMembers | None, day: int, days: int) -> int | float:
    """Member-days in the window."""
    return sum(window(active.pairs, day, days)) if active else 0


def remove(active: ActiveMembers, member: str, left: Instant) -> bool:
    """A member left then: no window counts it among the active any more, unless it was seen later. Its past days stay counted.

    False where nothing changes.
    """
    seen = active.members.get(member)
    if seen is None or (seen.last, seen.second) > left:
        return False
    active.gone[member] = active.members.pop(member)
    take_back(active.newest, seen.last)
    return True


def drop_inactive(active: ActiveMembers, day: int) -> None:
    """Drop the members whose bitmap is empty by now."""
    for members in (active.members, active.gone):
        for member in [member for member, seen in members.items() if day - seen.last >= MAX_MEMBER_DAYS]:
            del members[member]
