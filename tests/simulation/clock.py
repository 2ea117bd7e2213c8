"""Clock: the start of the run, plus the time its loop has waited, plus the hours it leapt over."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 7, tzinfo=UTC)


class Clock:
    """The true time. `leap` lets hours pass in which nobody does anything; `hold` makes it stand still."""

    def __init__(self) -> None:
        self._leapt = timedelta()
        self._held: datetime | None = None

    def now(self) -> datetime:
        if self._held is not None:
            return self._held
        return START + self._leapt + timedelta(seconds=asyncio.get_running_loop().time())

    def leap(self, hours: float) -> None:
        self._leapt += timedelta(hours=hours)

    def hold(self) -> None:
        self._held = self.now()


class Skewed:
    """One machine's clock: a little wrong."""

    def __init__(self, clock: Clock, off: float) -> None:
        self._clock = clock
        self._off = timedelta(seconds=off)

    def now(self) -> datetime:
        return self._clock.now() + self._off
