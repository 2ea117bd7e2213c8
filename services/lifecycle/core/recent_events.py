"""Which events does the account remember as evidence? The latest few of each class, as bytes until somebody asks.

A mark is when (microseconds, 8 bytes), the id, NUL, the name, the length of the name (4 bytes): marks sort as their
events do, by time and id. Forty structs in an account cost more to read and write than all the rest of it.
"""

from datetime import UTC, datetime, timedelta

from services.lifecycle.core.state import Account, PackedEvent
from shared.contracts.evidence import EventRef
from shared.contracts.usage import UsageEvent

MOST = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BIAS = 1 << 62
"""Keeps what was before 1970 positive."""


def mark(event: UsageEvent, at: datetime) -> PackedEvent:
    """The event as it is remembered; `at` is its time in UTC."""
    name, since = (event.name or event.type).encode(), at - _EPOCH
    when = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds + _BIAS
    return b"%b%b\0%b%b" % (when.to_bytes(8, "big"), event.id.encode(), name, len(name).to_bytes(4, "big"))


def shown(known: PackedEvent) -> EventRef:
    """The event as evidence shows it."""
    when = int.from_bytes(known[:8], "big") - _BIAS
    name = len(known) - 4 - int.from_bytes(known[-4:], "big")
    return EventRef(known[8 : name - 1].decode(), known[name:-4].decode(), _EPOCH + when * _MICROSECOND)


def remember(account: Account, name: str, latest: PackedEvent) -> None:
    """Keep the latest few events of a class, in order of time."""
    known = account.recent_events.get(name)
    if known is None:
        account.recent_events[name] = [latest]
        return
    known.append(latest)
    if len(known) > 1 and known[-2] > latest:
        known.sort()
    if len(known) > MOST:
        del known[0]


def refs(account: Account, classes: tuple[str, ...]) -> list[EventRef]:
    """The latest events of these classes; of any class where none of these was seen: what was known last."""
    known = [one for name in classes for one in account.recent_events.get(name, ())]
    found = known or [one for each in account.recent_events.values() for one in each]
    return [shown(one) for one in sorted(set(found))[-MOST:]]
