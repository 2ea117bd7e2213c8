"""Clock watch: says what time it is while this machine's clock cannot be right, and holds what time alone does.

A wrong clock moves every account to a day that has not come, and nothing brings it back. The witnesses: the database
server's clock where there is one (PostgreSQL); seconds that nobody can set; and across restarts the time at which this
installation was last seen to run (a file without a database server, else the cursors of its consumers).
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import structlog

from shared.clock import Clock, MeasuredClock
from shared.files import private_file, private_folder

TimeOf = Callable[[], Awaitable[datetime | None]]
"""A witness's time: the database server's clock (None where the database is a file), or when somebody last worked."""
_log = structlog.get_logger(__name__)
_TOLERANCE = timedelta(hours=1)
_STOPPED = timedelta(days=7)
"""So long an installation may have been stopped before its start asks whether the clock is right."""
_GRACE = 600.0
"""Seconds in which somebody, or NTP, can set a clock that no second clock contradicts."""
_MARK_SECONDS = 60.0
_FRESH = 5.0
"""Seconds for which who asks often believes what the database server said."""


class Reading(NamedTuple):
    """A time that was believed, and the seconds then; so much more than the seconds since may have passed on a clock.

    `exact`: the seconds since are all that passed. Not so after a start: nobody counted how long the machine was off.
    """

    time: datetime
    elapsed: float
    tolerance: timedelta = _TOLERANCE
    exact: bool = True

    def expected(self, elapsed: float) -> datetime:
        """The time after so many seconds that nobody can set."""
        return self.time + timedelta(seconds=elapsed - self.elapsed)

    def bears(self, wall: datetime, elapsed: float) -> bool:
        """Whether a clock may show this now."""
        return -_TOLERANCE <= wall - self.expected(elapsed) <= self.tolerance


class WatchedClock:
    """The machine's clock; while that cannot be right, the time that was believed before and the seconds since."""

    def __init__(self, machine: MeasuredClock) -> None:
        self.machine = machine
        self.believed: Reading | None = None

    def now(self) -> datetime:
        wall, believed = self.machine.now(), self.believed
        if believed is None:
            return wall
        elapsed = self.machine.elapsed()
        return wall if believed.bears(wall, elapsed) else believed.expected(elapsed)

    def elapsed(self) -> float:
        return self.machine.elapsed()


class ReceiptClock:
    """What a receipt is stamped with: never before the time, and where the clock is in doubt ahead of it.

    Which of the two it is may come out later: the consumer believes no stamp that is ahead of its own time.
    """

    def __init__(self, clock: WatchedClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return max(self._clock.machine.now(), self._clock.now())


def receipt_clock(clock: Clock) -> Clock:
    """The clock that stamps receipts beside this one."""
    return ReceiptClock(clock) if isinstance(clock, WatchedClock) else clock


class ClockWatch:
    """Whether the wall clock can be believed. `mark` is the file that keeps, without a database server, when we last ran.

    `last_work` tells, where there is a database server, when anybody last worked there.
    """

    def __init__(self, clock: WatchedClock, server_time: TimeOf, mark: Path, last_work: TimeOf | None = None) -> None:
        self._clock = clock
        self._server_time = server_time
        self._last_work = last_work
        self._mark = mark
        self._clock.believed = self._last_run()
        self._marked = -_MARK_SECONDS
        self._doubted_since: float | None = None
        self._told_at: float | None = None

    async def problem(self) -> str:
        """Empty while the clock can be believed, else what is wrong and what to do. Raises Retry like any read."""
        told = await self._server_time()
        wall, elapsed = self._clock.machine.now(), self._clock.elapsed()
        if told is None:
            return self._against_earlier(wall, elapsed)
        right = wall if abs(wall - told) <= _TOLERANCE else await self._likelier(wall, told, elapsed)
        self._clock.believed, self._told_at = Reading(right, elapsed), elapsed
        if abs(wall - told) <= _TOLERANCE:
            return ""
        return (
            f"this machine's clock says {_shown(wall)} and the database server's {_shown(told)}, {_gap(wall - told)}: timers, "
            f"sends and deletions wait, and what is received happened at {_shown(right)} at the latest. Set the one that is "
            "wrong (NTP); they go on by themselves"
        )

    async def decided(self) -> bool:
        """Whether it is known what time it is. After a start it may not be, without a second clock: what was received waits."""
        if self._told_at is None or self._clock.elapsed() - self._told_at > _FRESH:
            await self.problem()
        believed = self._clock.believed
        return self._doubted_since is None or (believed is not None and believed.exact)

    def guarded(self, work: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
        """The same work, which does nothing while the clock cannot be believed."""

        async def when_right() -> int:
            return 0 if await self.problem() else await work()

        return when_right

    async def _likelier(self, wall: datetime, told: datetime, elapsed: float) -> datetime:
        """Of two clocks the one that agrees with what we know; else the earlier, which leaves nobody in the future.

        One that shows a time before somebody worked is not it.
        """
        believed = self._clock.believed if self._told_at is not None else None
        agreeing = [one for one in (wall, told) if believed is not None and believed.bears(one, elapsed)]
        if len(agreeing) == 1:
            return agreeing[0]
        worked = await self._last_work() if self._last_work is not None else None
        possible = [one for one in (wall, told) if worked is None or one >= worked - _TOLERANCE]
        return min(possible or (wall, told))

    def _against_earlier(self, wall: datetime, elapsed: float) -> str:
        """What the time that was last believed says of the clock. Nobody contradicts one that stays so: it is believed then."""
        last = self._clock.believed
        if last is None or last.bears(wall, elapsed):
            self._believe(wall, elapsed)
            return ""
        self._doubted_since = elapsed if self._doubted_since is None else self._doubted_since
        left, expected = self._doubted_since + _GRACE - elapsed, last.expected(elapsed)
        if left <= 0:
            _log.warning("clock_believed", now=wall.isoformat(), expected=expected.isoformat())
            self._believe(wall, elapsed)
            return ""
        received = f"what is received happened at {_shown(expected)} at the latest" if last.exact else "events wait"
        return (
            f"the clock says {_shown(wall)}, {_gap(wall - expected)} of what it said when this installation last ran "
            f"({_shown(last.time)}): timers, sends and deletions wait, and {received}. If it is wrong, set it (NTP), and they "
            f"go on by themselves; if it is right, they go on in {-int(-left // 60)} minutes"
        )

    def _believe(self, wall: datetime, elapsed: float) -> None:
        self._clock.believed, self._doubted_since = Reading(wall, elapsed), None
        if elapsed - self._marked >= _MARK_SECONDS:
            self._marked = elapsed
            try:
                self._write_mark(wall)
            except OSError as error:  # the next start asks less, which is no reason to stop time
                _log.warning("last_run_not_written", file=str(self._mark), error=repr(error))

    def _write_mark(self, now: datetime) -> None:
        private_folder(self._mark.parent)
        fresh = self._mark.with_name(f"{self._mark.name}.new")
        private_file(fresh)
        fresh.write_text(f"{now.isoformat()}\n")
        fresh.replace(self._mark)

    def _last_run(self) -> Reading | None:
        """When this installation was last seen to run; None for a new one, and where a crash has left half a file."""
        try:
            wall = datetime.fromisoformat(self._mark.read_text().strip())
        except (OSError, ValueError):
            return None
        return Reading(wall, self._clock.elapsed(), _STOPPED, exact=False) if wall.tzinfo else None


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _gap(off: timedelta) -> str:
    size = abs(off)
    amount = (
        f"{size / timedelta(days=1):.0f} days"
        if size >= timedelta(days=2)
        else f"{size / timedelta(hours=1):.0f} hours"
    )
    return f"{amount} {'ahead' if off > timedelta() else 'behind'}"
