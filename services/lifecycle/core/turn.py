"""What is at hand while one event, or one midnight, is decided?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from services.lifecycle.core.plan import Plan
    from services.lifecycle.core.state import Account
    from shared.contracts.evidence import Value
    from shared.contracts.lifecycle import LifecycleMessage

DAY = timedelta(days=1)


class Turn(dict[str, "Value"]):
    """The account's metrics now, each read when first asked for, and what is decided on them.

    It is a dict because most of an event's cost is looking up values: one that is there costs no call. Whatever
    changes the account between two questions clears it.
    """

    __slots__ = ("account", "day", "decided_at", "decisions", "plan")

    def __init__(self, account: Account, plan: Plan, decided_at: datetime) -> None:
        self.account = account
        self.plan = plan
        self.decided_at = decided_at
        self.day = account.clock.toordinal()
        self.decisions: list[LifecycleMessage] = []

    def __missing__(self, name: str) -> Value:
        value = self[name] = self.plan.reads[name](self)
        return value

    def midnight(self) -> datetime:
        """The beginning of the day: holds, dwells and cooldowns are over when they are over by then."""
        return midnight(self.account.clock)


class Hit(msgspec.Struct, gc=False):
    """One event as one of its classes sees it."""

    at: datetime
    day: int
    user: str
    feature: str
    properties: dict[str, object]


def midnight(at: datetime) -> datetime:
    """The beginning of that day."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def in_utc(at: datetime) -> datetime:
    """The same moment in UTC, the only zone the core computes in."""
    return at if at.tzinfo is UTC else at.astimezone(UTC)
