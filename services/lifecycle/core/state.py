"""State of an account: all that its next decision can depend on, and how it is stored.

Whoever decoded an `Account` owns it: `fold` and `advance` change it in place. After an exception it is in pieces:
throw it away and decode the stored bytes again.
"""

from datetime import datetime

import msgspec

from services.lifecycle.core.activity import ActiveMembers, Series
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import Band

PackedEvent = bytes
"""A recent event, kept as evidence (`recent_events.py`)."""


class Span(msgspec.Struct, array_like=True, gc=False):
    """When a class of events was first and last seen."""

    first: datetime
    last: datetime


class TimestampedValue(msgspec.Struct, array_like=True, gc=False):
    """A value and the time of the event that gave it: the later one wins, in whatever order they arrive."""

    at: datetime
    value: Value


class SignalState(msgspec.Struct, array_like=True, gc=False):
    """When a signal was last raised, and whether its conditions have held ever since."""

    at: datetime
    active: bool


class Contact(msgspec.Struct, array_like=True, gc=False):
    """A person as identify calls describe them, field by field."""

    at: datetime
    email: str | None = None
    name: str | None = None
    role: str | None = None
    timezone: str | None = None
    unsubscribed: bool = False


class HealthState(msgspec.Struct, array_like=True, gc=False):
    """The last evaluation, and the band that the latest ones point to before there are enough of them."""

    band: Band = "unknown"
    score: float | None = None
    coverage: float = 0.0
    candidate: Band = "unknown"
    candidate_evaluations: int = 0


class Account(msgspec.Struct, array_like=True):
    """All that the next decision can depend on. `stage` is empty until the first event was folded.

    `definition_version` is that of the definition it was last folded under, `known_stores` which of that definition's
    stores have data (bits). `first_seen` is the time of its earliest event, `next_due` the midnight of its next tick,
    `holding_since` for each rule with a hold when its conditions began to hold.
    """

    id: str
    clock: datetime
    first_seen: datetime
    entered_at: datetime
    stage: str = ""
    seq: int = 0
    next_due: datetime | None = None
    replaying: bool = False
    flags: dict[str, datetime] = {}
    milestones: dict[str, datetime] = {}
    holding_since: dict[str, datetime] = {}
    signals: dict[str, SignalState] = {}
    health: HealthState = msgspec.field(default_factory=HealthState)
    traits: dict[str, TimestampedValue] = {}
    contacts: dict[str, Contact] = {}
    series: dict[str, Series] = {}
    active_members: dict[str, ActiveMembers] = {}
    spans: dict[str, Span] = {}
    latest: dict[str, TimestampedValue] = {}
    open_items: dict[str, dict[str, TimestampedValue]] = {}
    recent_events: dict[str, list[PackedEvent]] = {}
    definition_version: str = ""
    known_stores: int = 0


def begin(account_id: str, at: datetime) -> Account:
    """A new account, about to fold its first event (of time `at`)."""
    return Account(account_id, at, at, at)
