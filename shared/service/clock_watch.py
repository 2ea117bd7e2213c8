"""Clock watch: holds what time alone does while this machine's clock cannot be right.

A wrong clock moves every account to a day that has not come, and nothing brings it back. Two witnesses: the database
server's clock where there is one (PostgreSQL); else (SQLite, one machine) seconds that nobody can set, and across restarts
the time at which this installation was last seen to run.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import structlog

from shared.clock import MeasuredClock
from shared.files import private_file, private_folder

ServerTime = Callable[[], Awaitable[datetime | None]]
"""The database server's clock; None where the database is a file."""
_log = structlog.get_logger(__name__)
_TOLERANCE = timedelta(hours=1)
_STOPPED = timedelta(days=7)
"""So long an installation may have been stopped before its start asks whether the clock is right."""
_GRACE = 600.0
"""Seconds in which somebody, or NTP, can set a clock that no second clock contradicts."""
_MARK_SECONDS = 60.0


class _Reading(NamedTuple):
    """A reading of the clock that was believed; `tolerance` is how much more than the time since may have passed."""

    wall: datetime
    elapsed: float
    tolerance: timedelta = _TOLERANCE


class ClockWatch:
    """Whether the wall clock can be believed. `mark` is the file that keeps, without a database server, when we last ran."""

    def __init__(self, clock: MeasuredClock, server_time: ServerTime, mark: Path) -> None:
        self._clock = clock
        self._server_time = server_time
        self._mark = mark
        self._believed = self._last_run()
        self._marked = -_MARK_SECONDS
        self._doubted_since: float | None = None

    async def problem(self) -> str:
        """Empty while the clock can be believed, else what is wrong and what to do. Raises Retry like any read."""
        told = await self._server_time()
        now = self._clock.now()
        if told is None:
            return self._against_earlier(now)
        if abs(now - told) <= _TOLERANCE:
            return ""
        return (
            f"this machine's clock says {_shown(now)} and the database server's {_shown(told)}, {_gap(now - told)}: timers, "
            "sends and deletions wait. Set the one that is wrong (NTP); they go on by themselves"
        )

    def guarded(self, work: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
        """The same work, which does nothing while the clock cannot be believed."""

        async def when_right() -> int:
            return 0 if await self.problem() else await work()

        return when_right

    def _against_earlier(self, now: datetime) -> str:
        """What the look that was last believed says of now. Nobody contradicts a clock that stays so: it is believed then."""
        elapsed, last = self._clock.elapsed(), self._believed
        expected = last.wall + timedelta(seconds=elapsed - last.elapsed) if last else now
        if last is None or -_TOLERANCE <= now - expected <= last.tolerance:
            self._believe(now, elapsed)
            return ""
        self._doubted_since = elapsed if self._doubted_since is None else self._doubted_since
        left = self._doubted_since + _GRACE - elapsed
        if left <= 0:
            _log.warning("clock_believed", now=now.isoformat(), expected=expected.isoformat())
            self._believe(now, elapsed)
            return ""
        return (
            f"the clock says {_shown(now)}, {_gap(now - expected)} of what it said when this installation last ran "
            f"({_shown(last.wall)}): timers, sends and deletions wait. If it is wrong, set it (NTP), and they go on by "
            f"themselves; if it is right, they go on in {-int(-left // 60)} minutes"
        )

    def _believe(self, now: datetime, elapsed: float) -> None:
        self._believed, self._doubted_since = _Reading(now, elapsed), None
        if elapsed - self._marked >= _MARK_SECONDS:
            self._marked = elapsed
            try:
                self._write_mark(now)
            except OSError as error:  # the next start asks less, which is no reason to stop time
                _log.warning("last_run_not_written", file=str(self._mark), error=repr(error))

    def _write_mark(self, now: datetime) -> None:
        private_folder(self._mark.parent)
        fresh = self._mark.with_name(f"{self._mark.name}.new")
        private_file(fresh)
        fresh.write_text(f"{now.isoformat()}\n")
        fresh.replace(self._mark)

    def _last_run(self) -> _Reading | None:
        """When this installation was last seen to run; None for a new one, and where a crash has left half a file."""
        try:
            wall = datetime.fromisoformat(self._mark.read_text().strip())
        except (OSError, ValueError):
            return None
        return _Reading(wall, self._clock.elapsed(), _STOPPED) if wall.tzinfo else None


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
