"""Circuit of a channel: after some attempts in a row that found nobody, nothing is tried for a while, then one at a time.

An outage is the channel's, not the deliveries': they keep their turn, and are not used up in trying.
"""

from datetime import datetime, timedelta

OPENS_AFTER = 3
"""Attempts in a row that reached nobody."""
WAITS = tuple(timedelta(minutes=m) for m in (1, 2, 5, 10))
"""How long nothing is tried: the longer, the more often it was in vain. The last goes on."""


class Circuit:
    """How one channel does: closed while it answers, open while nothing is to be tried, between the two one attempt."""

    def __init__(self) -> None:
        self._failures = 0
        self._until: datetime | None = None
        self.since: datetime | None = None
        """When it was first found silent; None while it answers."""

    def may_try(self, now: datetime, most: int) -> int:
        """How many deliveries may be tried now, of at most so many."""
        if self._failures < OPENS_AFTER:
            return most
        is_open = (
            self._until is not None and now < self._until <= now + WAITS[-1]
        )  # a clock set back opens none for long
        return 0 if is_open else 1

    def found_nobody(self, now: datetime) -> None:
        """An attempt reached nobody."""
        self._failures += 1
        self.since = self.since or now
        if self._failures >= OPENS_AFTER:
            self._until = now + WAITS[min(self._failures - OPENS_AFTER, len(WAITS) - 1)]

    def answered(self) -> bool:
        """The channel answered, whatever it said: True where it had been given up on."""
        was_open = self._failures >= OPENS_AFTER
        self._failures, self._until, self.since = 0, None, None
        return was_open

    def words(self, detail: str) -> str:
        """What is wrong; empty while it answers."""
        if self.since is None:
            return ""
        again = f"; tried again at {self._until:%H:%M} UTC" if self._until else ""
        return (
            f"does not answer since {self.since:%Y-%m-%d %H:%M} UTC ({detail}){again}. What is due waits, and leaves then "
            "unless it is no longer true"
        )
