"""How does the other side misbehave? One mood for one message: ordered by the run, used up by whatever comes next."""

from collections import deque
from collections.abc import Callable
from typing import Literal

Channel = Literal["email", "webhook"]

HANGS, DROPS, LATER, NEVER, SLOW = "mail hangs", "mail dropped", "mail 4yz", "mail 5yz", "mail slow"
FAILS, LATE, SILENT, RESET = "webhook 500", "webhook late", "webhook silent", "webhook reset"
MOODS: dict[str, Channel] = {
    HANGS: "email",
    DROPS: "email",
    LATER: "email",
    NEVER: "email",
    SLOW: "email",
    FAILS: "webhook",
    LATE: "webhook",
    SILENT: "webhook",
    RESET: "webhook",
}
"""Each mood, and whose it is."""
_MOST_WAITING = 20


class Moods:
    """Moods that wait for a message. `used` hears of each that struck."""

    def __init__(self, used: Callable[[str], None]) -> None:
        self._waiting: dict[Channel, deque[str]] = {
            "email": deque(maxlen=_MOST_WAITING),
            "webhook": deque(maxlen=_MOST_WAITING),
        }
        self._used = used

    def order(self, mood: str) -> None:
        self._waiting[MOODS[mood]].append(mood)

    def forget(self) -> None:
        for waiting in self._waiting.values():
            waiting.clear()

    def next(self, channel: Channel) -> str:
        """The mood for this message; empty for a good one."""
        waiting = self._waiting[channel]
        if not waiting:
            return ""
        mood = waiting.popleft()
        self._used(mood)
        return mood
