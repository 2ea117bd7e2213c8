"""Ceilings: what all plays together may send in a rolling time, transactional mail included; a circuit breaker.

A ceiling is far above an honest day. Where it is reached, something is wrong: a flood from outside, a play that matches
everybody, an import under the wrong mark. What it holds back waits with a reason and a time.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from services.notify.core.conditions import ReportMistake
from shared.definitions import At
from shared.durations import Duration, in_words

CeilingName = Literal["sends", "new_addresses"]
AfterTrip = Literal["wait", "stop"]
_PIECES = 12
_SHORTEST_PIECE = timedelta(minutes=1)
LOOK_AGAIN = timedelta(minutes=10)
"""What a stopped ceiling holds back is looked at again after so long: somebody may have released it."""


class CeilingFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many in a rolling time. The window moves on in twelfths of its length, of a minute at least."""

    max: int
    """At most so many."""
    within: Duration = Duration(hours=1)
    """The length of the rolling window."""
    then: AfterTrip = "wait"
    """Where it is reached: `wait` sends on as the window moves, `stop` sends nothing until somebody releases it."""


class CeilingsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all plays together may send to customers, transactional mail included: far above an honest day."""

    sends: CeilingFile = CeilingFile(max=2000)
    """Messages to customers, on every channel."""
    new_addresses: CeilingFile = CeilingFile(max=500)
    """Mails to addresses that were never mailed before."""


class Ceiling(NamedTuple):
    """A ceiling, checked."""

    name: CeilingName
    max: int
    within: timedelta
    stops: bool

    @property
    def words(self) -> str:
        """As a held delivery's detail and readyz have it."""
        return f"{self.name}: {self.max} in {in_words(self.within)}"

    @property
    def piece(self) -> timedelta:
        """The length of the pieces of time that sends are counted in."""
        return max(self.within / _PIECES, _SHORTEST_PIECE)

    def bucket(self, at: datetime) -> datetime:
        """The beginning of the piece of time that this moment is in."""
        return at - (at - datetime.min.replace(tzinfo=at.tzinfo)) % self.piece

    def counting_from(self, at: datetime) -> datetime:
        """The earliest piece that still counts at this moment."""
        return self.bucket(at - self.within)

    def room_from(self, counts: Mapping[datetime, int], at: datetime) -> datetime | None:
        """When there is room for one more; None: now. `counts` are sends by the piece of time that they fell into."""
        since = self.counting_from(at)
        counted = sorted((bucket, count) for bucket, count in counts.items() if bucket >= since)
        total = sum(count for _, count in counted)
        until = None
        for bucket, count in counted:
            if total < self.max:
                break
            total -= count
            until = bucket + self.piece + self.within
        return until


def checked_ceilings(file: CeilingsFile, report: ReportMistake) -> tuple[Ceiling, ...]:
    """The ceilings of the file."""
    return (
        _checked("sends", file.sends, ("ceilings", "sends"), report),
        _checked("new_addresses", file.new_addresses, ("ceilings", "new_addresses"), report),
    )


def _checked(name: CeilingName, file: CeilingFile, at: At, report: ReportMistake) -> Ceiling:
    if file.max < 1:
        report((*at, "max"), "at least 1: to send nothing at all, set the mode to preview")
    return Ceiling(name, file.max, file.within, file.then == "stop")
