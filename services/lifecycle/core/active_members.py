"""Who (or which feature) was seen lately? A 64-bit bitmap each, and what is asked of all of them kept ready.

Bit i of `bits` is: seen i days before `last`. `newest` counts members by the last day they were seen, so members
active in a window are a sum over days, not over members; `pairs` counts (member, day) pairs by day.
"""

import msgspec

from services.lifecycle.core.definition.metrics import PEOPLE_DAYS
from services.lifecycle.core.series import Series, add, take_back, window

_MASK = (1 << PEOPLE_DAYS) - 1
_KEEP = PEOPLE_DAYS


class Seen(msgspec.Struct, array_like=True, gc=False):
    """One member's bitmap, anchored at the last day seen: nobody needs to shift it while it is silent."""

    last: int
    bits: int


class ActiveMembers(msgspec.Struct, array_like=True):
    """All members seen within 64 days, and their sums by day."""

    newest: Series
    pairs: Series
    members: dict[str, Seen] = {}


def crowd(day: int) -> ActiveMembers:
    """Nobody yet."""
    return ActiveMembers(Series(day, [0]), Series(day, [0]))


def see(crowd: ActiveMembers, who: str, day: int, most: int) -> bool:
    """Somebody was there on that day. False when that was known, or when the crowd is at its limit."""
    seen = crowd.members.get(who)
    if seen is None:
        if len(crowd.members) >= most:
            return False
        crowd.members[who] = Seen(day, 1)
        add(crowd.newest, day, 1, _KEEP)
    elif not _mark(crowd, seen, day):
        return False
    add(crowd.pairs, day, 1, _KEEP)
    return True


def _mark(crowd: ActiveMembers, seen: Seen, day: int) -> bool:
    gap = day - seen.last
    if gap > 0:
        take_back(crowd.newest, seen.last)
        add(crowd.newest, day, 1, _KEEP)
        seen.bits = (seen.bits << gap | 1) & _MASK if gap < _KEEP else 1
        seen.last = day
        return True
    bit = 1 << -gap if -gap < _KEEP else 0
    if not bit or seen.bits & bit:
        return False
    seen.bits |= bit
    return True


def active(crowd: ActiveMembers | None, day: int, days: int) -> int | float:
    """Members seen in the window."""
    return sum(window(crowd.newest, day, days)) if crowd else 0


def pairs(crowd: ActiveMembers | None, day: int, days: int) -> int | float:
    """Member-days in the window."""
    return sum(window(crowd.pairs, day, days)) if crowd else 0


def remove(crowd: ActiveMembers, who: str) -> None:
    """A member left: no window counts it among the active any more. Its past days stay counted."""
    seen = crowd.members.pop(who, None)
    if seen:
        take_back(crowd.newest, seen.last)


def sweep(crowd: ActiveMembers, day: int) -> None:
    """Drop the members whose bitmap is empty by now."""
    gone = [who for who, seen in crowd.members.items() if day - seen.last >= _KEEP]
    for who in gone:
        del crowd.members[who]
