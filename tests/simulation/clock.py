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

    def elapsed(self) -> float:
        """Seconds that nobody can set."""
        return (self.now() - START).total_seconds()

    def leap(self, hours: float) -> None:
        self._leapt += timedelta(hours=hours)

    def hold(self) -> None:
        self._held = self.now()


class Skewed:
    """One machine's clock: a little wrong, and `ahead` where somebody has set it so. Its seconds are right."""

    def __init__(self, clock: Clock, off: float) -> None:
        self.ahead = timedelta()
        self._clock = clock
        self._off = timedelta(seconds=off)

    def now(self) -> datetime:
        return self._clock.now() + self._off + self.ahead

    def elapsed(self) -> float:
        return self._clock.elapsed()
