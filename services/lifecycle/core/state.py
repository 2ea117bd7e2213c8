"""State of an account: all that its next decision can depend on, and how it is stored.

Whoever decoded an `Account` owns it: `fold` and `advance` change it in place. After an exception it is in pieces:
throw it away and decode the stored bytes again.

The latest few events of each class are kept as evidence, as bytes until somebody asks. A packed event is when
(microseconds, 8 bytes), the id, NUL, the name, the length of the name (4 bytes): packed events sort as events do, by time
and id. Forty structs in an account cost more to read and write than all the rest of it.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zlib import crc32

import msgspec

from services.lifecycle.core.activity import ActiveMembers, Series
from shared.contracts.evidence import EventRef, Value
from shared.contracts.lifecycle import Band
from shared.contracts.usage import UsageEvent

DecisionKind = Literal["stage", "flag_raised", "flag_cleared", "signal", "milestone", "health"]
MAX_MARKS = 12
"""Decisions that an account remembers for late events."""
PackedEvent = bytes
"""A recent event, kept as evidence."""
MAX_EVENTS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BIAS = 1 << 62
"""Keeps what was before 1970 positive."""


class Span(msgspec.Struct, array_like=True, gc=False):
    """When a class of events was first and last seen."""

    first: datetime
    last: datetime


class TimestampedValue(msgspec.Struct, array_like=True, gc=False):
    """A value and the time of the event that gave it: the later one wins, in whatever order they arrive.

    Of two at one instant it is the one with the greater `tie`, which comes from the event too.
    """

    at: datetime
    value: Value
    tie: int = 0


class SignalState(msgspec.Struct, array_like=True, gc=False):
    """When a signal was last raised, and whether its conditions have held ever since."""

    at: datetime
    active: bool


NEVER = _EPOCH
"""When a trusted source last told of a person of whom none did."""


Moment = tuple[datetime, int]
"""When an event says that it happened, and its tie: no two events share both."""


class ContactClaim(msgspec.Struct, array_like=True, gc=False):
    """What browsers say of a person, as far as no trusted source told it. `unsubscribed` is a no, which anybody may say.

    `at` and `tie` are those of the latest such call, `moments` of the fields that an earlier one told, `consent_at` of the
    latest no.
    """

    at: datetime
    email: str | None = None
    name: str | None = None
    role: str | None = None
    timezone: str | None = None
    unsubscribed: bool = False
    tie: int = 0
    moments: dict[str, Moment] | None = None
    consent_at: Moment | None = None


class Contact(msgspec.Struct, array_like=True, gc=False):
    """A person as identify calls of trusted sources describe them, field by field; what a browser says stands apart.

    `at` and `tie` are those of the latest such call, `moments` of the fields that an earlier one told, `consent_at` of the
    latest word on mail, which `unsubscribed` is.
    """

    at: datetime
    email: str | None = None
    name: str | None = None
    role: str | None = None
    timezone: str | None = None
    unsubscribed: bool = False
    claim: ContactClaim | None = None
    tie: int = 0
    moments: dict[str, Moment] | None = None
    consent_at: Moment | None = None


class Departure(msgspec.Struct, array_like=True, gc=False):
    """When a person was last removed: what is told of them from before counts no more, but for their word on mail (`contact`)."""

    at: datetime
    contact: Contact | None = None


class HealthState(msgspec.Struct, array_like=True, gc=False):
    """The last evaluation, and the band that the latest ones point to before there are enough of them."""

    band: Band = "unknown"
    score: float | None = None
    coverage: float = 0.0
    candidate: Band = "unknown"
    candidate_evaluations: int = 0


class KeptFeedback(msgspec.Struct, array_like=True, gc=False):
    """What notify or advocacy said of the account (`core/feedback.py`), until it is taken.

    `at` is when it happened, `told_at` when it was said, by the wall clock; `event` is its usage event (JSON).
    """

    at: datetime
    id: str
    told_at: datetime
    event: bytes


class DecisionMark(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A decision of a rule, as far as a late event may question it.

    `name` is what was entered, raised, cleared or reached, `before` the stage or band that it left.
    """

    at: datetime
    decision: DecisionKind
    name: str
    rule: str
    before: str = ""


class Account(msgspec.Struct, array_like=True):
    """All that the next decision can depend on. `stage` is empty until the first event was folded.

    `definition_version` is that of the definition it was last folded under, `known_stores` which of that definition's
    stores have data (bits). `browser_traits` are the names of traits that no trusted source told. `first_seen` is the time of its earliest event, `next_due` the midnight of its next tick,
    `holding_since` for each rule with a hold when its conditions began to hold. `waiting` is feedback whose time the clock has
    to reach, `unsettled` what was said of its history, both in order; `history_over`: a marker has ended the history that
    holds it. `decision_marks` are the latest decisions of rules, packed until somebody asks.
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
    browser_traits: set[str] = set()
    departed: dict[str, Departure] = {}
    waiting: list[KeptFeedback] = []
    unsettled: list[KeptFeedback] = []
    history_over: bool = False
    decision_marks: bytes = b""


def tie_of(event_id: str) -> int:
    """What decides between two events of one instant, in whatever order they arrive."""
    return crc32(event_id.encode())


def begin(account_id: str, at: datetime) -> Account:
    """A new account, about to fold its first event (of time `at`)."""
    return Account(account_id, at, at, at)


def pack(event: UsageEvent, at: datetime) -> PackedEvent:
    """The event as it is kept; `at` is its time in UTC."""
    when = (at - _EPOCH) // _MICROSECOND + _BIAS
    return when.to_bytes(8, "big") + event.id.encode() + _packed_name(event.name or event.type)


@lru_cache(1024)
def _packed_name(name: str) -> bytes:
    encoded = name.encode()
    return b"\0%b%b" % (encoded, len(encoded).to_bytes(4, "big"))


def unpack(packed: PackedEvent) -> EventRef:
    """The event as evidence shows it."""
    when = int.from_bytes(packed[:8], "big") - _BIAS
    name = len(packed) - 4 - int.from_bytes(packed[-4:], "big")
    return EventRef(packed[8 : name - 1].decode(), packed[name:-4].decode(), _EPOCH + when * _MICROSECOND)


def add_recent(account: Account, event_class: str, packed: PackedEvent) -> None:
    """Keep the latest few events of a class, in order of time."""
    recent = account.recent_events.get(event_class)
    if recent is None:
        account.recent_events[event_class] = [packed]
        return
    is_late = recent[-1] > packed
    recent.append(packed)
    if is_late:
        recent.sort()
    if len(recent) > MAX_EVENTS:
        del recent[0]


def latest_events(account: Account, classes: tuple[str, ...]) -> list[EventRef]:
    """The latest events of these classes; of any class where none of these was seen."""
    of_classes = [packed for name in classes for packed in account.recent_events.get(name, ())]
    found = of_classes or [packed for recent in account.recent_events.values() for packed in recent]
    return [unpack(packed) for packed in sorted(set(found))[-MAX_EVENTS:]]


_encode_marks = msgspec.msgpack.Encoder().encode
_decode_marks = msgspec.msgpack.Decoder(list[DecisionMark]).decode


def decision_marks(account: Account) -> list[DecisionMark]:
    """The latest decisions of rules, in order."""
    return _decode_marks(account.decision_marks) if account.decision_marks else []


def add_mark(account: Account, mark: DecisionMark) -> None:
    """Remember a decision of a rule."""
    account.decision_marks = _encode_marks([*decision_marks(account), mark][-MAX_MARKS:])
