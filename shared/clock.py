"""Clock: the only module that reads the machine's time; everything else takes it as an argument."""

import time
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable


class Clock(Protocol):
    """Tells the wall-clock time, aware, in UTC."""

    def now(self) -> datetime: ...


@runtime_checkable
class MeasuredClock(Clock, Protocol):
    """A clock that can be checked: it also counts seconds, from no particular start, that nobody can set."""

    def elapsed(self) -> float: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251  the one place

    def elapsed(self) -> float:
        """Seconds, those that the machine slept through as well."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
