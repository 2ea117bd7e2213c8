"""Time slice: how long a unit of work may hold its partition, and what a handler says that needs longer."""

import asyncio
import math
from collections.abc import Awaitable, Callable

from shared.db.protocol import Tx

SHARE_OF_SESSION = 20
"""Deciding gets a twentieth of the session: with reading and writing no transaction holds a partition longer than a tenth."""

Step = Callable[[Tx], Awaitable[bool]]
"""A piece of the work that has to be done first; whether that was the last one."""


class TimeSlice:
    """So many seconds, from when it is first asked: what came before was waiting, which shorter work would not shorten."""

    def __init__(self, seconds: float = math.inf) -> None:
        self.seconds = seconds
        self._until: float | None = None

    @property
    def is_over(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._until is None:
            self._until = now + self.seconds
        return now >= self._until


class OutOfTime(Exception):  # noqa: N818  nothing failed
    """The batch needs longer than its time slice: roll back, and take `messages` of it at once.

    `first`: what one message alone needs before it can be handled in a time slice, piece by piece, in transactions of its own.
    """

    def __init__(self, messages: int, first: Step | None = None) -> None:
        super().__init__(f"in a time slice there is time for {messages} messages")
        self.messages = messages
        self.first = first
