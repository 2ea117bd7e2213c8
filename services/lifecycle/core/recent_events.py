"""Recent events: the latest few of each class, kept as evidence, as bytes until somebody asks.

A packed event is when (microseconds, 8 bytes), the id, NUL, the name, the length of the name (4 bytes): packed events sort
as events do, by time and id. Forty structs in an account cost more to read and write than all the rest of it.
"""

from datetime import UTC, datetime, timedelta

from services.lifecycle.core.state import Account, PackedEvent
from shared.contracts.evidence import EventRef
from shared.contracts.usage import UsageEvent

MAX_EVENTS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BIAS = 1 << 62
"""Keeps what was before 1970 positive."""


def pack(event: UsageEvent, at: datetime) -> PackedEvent:
    """The event as it is kept; `at` is its time in UTC."""
    name, since = (event.name or event.type).encode(), at - _EPOCH
    when = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds + _BIAS
    return b"%b%b\0%b%b" % (when.to_bytes(8, "big"), event.id.encode(), name, len(name).to_bytes(4, "big"))


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
    recent.append(packed)
    if len(recent) > 1 and recent[-2] > packed:
        recent.sort()
    if len(recent) > MAX_EVENTS:
        del recent[0]


def latest_events(account: Account, classes: tuple[str, ...]) -> list[EventRef]:
    """The latest events of these classes; of any class where none of these was seen."""
    of_classes = [packed for name in classes for packed in account.recent_events.get(name, ())]
    found = of_classes or [packed for recent in account.recent_events.values() for packed in recent]
    return [unpack(packed) for packed in sorted(set(found))[-MAX_EVENTS:]]
