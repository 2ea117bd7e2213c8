"""Canonical event: a raw record of `usage.raw.v1` validated and normalised, or parked with the reason.

Times are corrected by the sender's clock error (Segment's `sentAt`) and never lie in the future.
"""

from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec

from services.ingest.core import decoding
from services.ingest.core.decoding import Request, parse_time
from services.ingest.core.segment import MAX_ID_LENGTH, MAX_NAME_LENGTH, Id, RecordMeta, SegmentEvent, id_text
from shared.bus.protocol import Record
from shared.contracts.usage import EventType, SourceKind
from shared.failures import Parked

_TYPES: dict[str, EventType] = {
    "track": "track", "identify": "identify", "group": "group", "page": "page", "screen": "screen", "alias": "alias",
}  # fmt: skip
_FUTURE_TOLERANCE = timedelta(minutes=5)
_MAX_CLOCK_SKEW = timedelta(days=2)
"""A larger difference says that the sender's clock is set to nonsense: it corrects nothing."""


class CanonicalEvent(msgspec.Struct, frozen=True, gc=False):
    """A valid event whose account may still have to be resolved. `dedupe_key` is 16 bytes of source and id."""

    dedupe_key: bytes
    id: str
    type: EventType
    name: str
    at: datetime
    received_at: datetime
    source: str
    account_id: str
    user_id: str
    previous_user_id: str
    properties: msgspec.Raw
    history: str | None
    trust: SourceKind
    claimed_at: str | None
    record: Record


def canonical_event(record: Record) -> CanonicalEvent:
    """Read one raw record. Raises Parked with the reason, and nothing else."""
    request = decoding.decode_request(record.meta, record.timestamp)
    meta = request.meta
    if meta.size:
        raise decoding.too_large(meta.size)
    event = decoding.decode_event(record.value)
    event_type = _event_type(event, meta)
    user_id, account_id, previous_user_id = _identities(event, meta)
    event_id = id_text(event.message_id) or meta.id or _content_id(record, event)
    history = (meta.history or event.history or None) if meta.trust != "browser" else None
    _check_lengths(user_id, account_id, previous_user_id, event_id, history or "")
    return CanonicalEvent(
        blake2b(f"{meta.source}\x1f{event_id}".encode(), digest_size=16).digest(),
        event_id,
        event_type,
        _name(event, event_type),
        _time_of(event, request, history),
        request.received_at,
        meta.source,
        account_id,
        user_id,
        previous_user_id,
        _properties(event, event_type),
        history,
        "import" if history else meta.trust,
        None,
        record,
    )


def _event_type(event: SegmentEvent, meta: RecordMeta) -> EventType:
    event_type = _TYPES.get((event.type or meta.type or "").lower())
    if event_type is None:
        raise Parked(f"type {ascii(event.type or '')[:42]} is not one of {', '.join(_TYPES)}", "unknown_type")
    return event_type


def _identities(event: SegmentEvent, meta: RecordMeta) -> tuple[str, str, str]:
    """User, account, and the user's former id.

    The account: `context.groupId` (the event's, then the batch's), then `groupId`; the user's latest is resolved later.
    """
    user_id = id_text(event.user_id) or id_text(event.anonymous_id)
    context_group = id_text(event.context.group_id) if event.context else ""
    account_id = context_group or meta.group or id_text(event.group_id)
    if not user_id and not account_id:
        raise Parked("no userId, anonymousId or groupId", "no_identity")
    return user_id, account_id, id_text(event.previous_id)


def _check_lengths(*ids: str) -> None:
    for value in ids:
        if len(value) > MAX_ID_LENGTH:
            raise Parked(f"an id is longer than {MAX_ID_LENGTH} characters", "id_too_long")


def _name(event: SegmentEvent, event_type: EventType) -> str:
    if event_type == "track":
        name = (event.event or "").strip()
        if not name:
            raise Parked("a track event needs a name in 'event'", "no_event_name")
        return name[:MAX_NAME_LENGTH]
    return (event.name or "").strip()[:MAX_NAME_LENGTH] if event_type in {"page", "screen"} else ""


def _time_of(event: SegmentEvent, request: Request, history: str | None) -> datetime:
    """An import's times are trusted; everybody else's are corrected."""
    timestamp = event.timestamp if event.timestamp is not None else event.original_timestamp
    if history and timestamp is not None:
        return parse_time(timestamp)
    sent_at = decoding.parse_time_or_none(event.sent_at) if event.sent_at is not None else request.sent_at
    return _corrected_time(timestamp, sent_at, request.received_at)


def _corrected_time(timestamp: Id, sent_at: datetime | None, received_at: datetime) -> datetime:
    """The time of a live event; `sent_at` is what the sender's clock showed when it sent."""
    if timestamp is None:
        return received_at
    at = parse_time(timestamp)
    if sent_at is not None and abs(skew := received_at - sent_at) < _MAX_CLOCK_SKEW:
        at += skew
    return received_at if at > received_at + _FUTURE_TOLERANCE else at


def _properties(event: SegmentEvent, event_type: EventType) -> msgspec.Raw:
    """Properties; of identify and group the traits, which RudderStack sends inside the context."""
    if event_type not in {"identify", "group"}:
        return decoding.checked_properties(event.properties)
    traits = decoding.checked_properties(event.traits)
    return decoding.checked_properties(event.context.traits) if bytes(traits) == b"{}" and event.context else traits


def _content_id(record: Record, event: SegmentEvent) -> str:
    """An id derived from the content: a retry of the same content is the same event.

    Where the content has no timestamp either, its offset in the log counts too: two clicks are not one click.
    """
    timed = event.timestamp is not None or event.original_timestamp is not None or record.meta
    offset = b"" if timed else b"%d\x1f" % record.offset
    return "content-" + blake2b(offset + record.key + b"\x1f" + record.value, digest_size=16).hexdigest()
