"""Canonical event: a raw record of `usage.raw.v1` decoded, validated and normalised, or parked with the reason.

Parked is also what would make a later reader (or PostgreSQL) fail. Times are corrected by the sender's clock error (Segment's
`sentAt`) and believed within bounds: a sender chooses no time that the rest of Waymark would have to work off.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple

import msgspec

from services.ingest.core.said_in_context import NOTHING_SAID, said_in_context
from services.ingest.core.segment import (
    MAX_DEPTH,
    MAX_EVENT_BYTES,
    MAX_ID_LENGTH,
    MAX_NAME_LENGTH,
    Id,
    RecordMeta,
    SegmentEvent,
    id_text,
    mend,
)
from shared.bus.protocol import Record
from shared.contracts.usage import BrowserClaim, EventType, SourceKind, Times
from shared.failures import Parked
from shared.values import read_number, read_time

_TYPES: dict[str, EventType] = {
    "track": "track", "identify": "identify", "group": "group", "page": "page", "screen": "screen", "alias": "alias",
}  # fmt: skip
_MAX_CLOCK_SKEW = timedelta(days=2)
"""A larger difference says that the sender's clock is set to nonsense: it corrects nothing."""
_MAX_CLAIMED = 64
_MAX_STREAM = 64
_MAX_DIGITS = 18
"""Of a position: as many as the database's integers take."""
_decode_event = msgspec.json.Decoder(SegmentEvent).decode
_decode_meta = msgspec.json.Decoder(RecordMeta).decode
_decode_any = msgspec.json.Decoder().decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DEPTH_CHANGE = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_EMPTY_OBJECT = msgspec.Raw(b"{}")
_NO_PROPERTIES = (b"", b"null", b"[]")
"""As SDKs write it: the key is absent, or null, or PHP's empty array."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_TIME = datetime(2200, 1, 1, tzinfo=UTC)


class Request(NamedTuple):
    """The request that brought an event: its meta, when it was received, and the sender's clock when it was sent.

    `stamped_at`: what the receiving server's clock said, where that could not be. `times`: the source's own bounds, if any.
    """

    meta: RecordMeta
    received_at: datetime
    sent_at: datetime | None
    stamped_at: datetime | None = None
    times: Times | None = None


class TimeBounds(NamedTuple):
    """How far the time of a live event may lie before its receipt (a phone that was offline), and of any event after it.

    `import_back`: of an imported event before it; None: since 1970.
    """

    back: timedelta = timedelta(days=30)
    ahead: timedelta = timedelta(minutes=5)
    import_back: timedelta | None = None

    def of_source(self, times: Times) -> "TimeBounds":
        """These bounds, with what a source has of its own in their place."""
        back = self.back if times.days_back is None else timedelta(days=times.days_back)
        ahead = self.ahead if times.minutes_ahead is None else timedelta(minutes=times.minutes_ahead)
        import_back = self.import_back if times.import_days_back is None else timedelta(days=times.import_days_back)
        return TimeBounds(back, ahead, import_back)


BOUNDS = TimeBounds()


class ImportPlace(NamedTuple):
    """An event's place in its import: a part of it that is sent in order, and the position there, counted from 1."""

    stream: str
    position: int


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
    claims: tuple[BrowserClaim, ...]
    record: Record
    stamped_at: datetime | None = None
    place: ImportPlace | None = None
    no_to_mail: bool = False
    address: str | None = None


def canonical_event(record: Record, bounds: TimeBounds = BOUNDS) -> CanonicalEvent:
    """Read one raw record. Raises Parked with the reason, and nothing else."""
    request = _read_request(record.meta, record.timestamp)
    meta = request.meta
    if meta.size:
        raise _too_large(meta.size)
    event = _read_event(record.value)
    event_type = _event_type(event, meta)
    user_id, account_id, previous_user_id = _identities(event, meta)
    event_id = id_text(event.message_id) or meta.id or _content_id(record, event)
    browser = meta.trust == "browser"
    history = meta.history or event.history or None
    claims: tuple[BrowserClaim, ...] = ("history",) if browser and history else ()
    history = None if browser else history
    _check_lengths(user_id, account_id, previous_user_id, event_id, history or "")
    trust = "import" if history else meta.trust
    at, claimed_at = _time_of(event, request, trust, bounds)
    name, context = _name(event, event_type), event.context
    said = NOTHING_SAID
    if context is not None and (context.traits or context.consent):
        said = said_in_context(context, name)
    return CanonicalEvent(
        _dedupe_key(meta.source, event_id, browser=browser),
        event_id,
        event_type,
        name,
        at,
        request.received_at,
        meta.source,
        account_id,
        user_id,
        previous_user_id,
        _properties(event, event_type),
        history,
        trust,
        claimed_at,
        claims,
        record,
        request.stamped_at,
        _place_in(event.import_position) if history and event.import_position is not None else None,
        *said,
    )


def _place_in(given: object) -> ImportPlace | None:
    """`3:17` is the 17th of stream 3; anything else is no place."""
    stream, _, position = given.rpartition(":") if isinstance(given, str) else ("", "", "")
    if not stream or len(stream) > _MAX_STREAM or not position.isascii() or not position.isdigit():
        return None
    return ImportPlace(stream, int(position)) if len(position) <= _MAX_DIGITS else None


def with_believable_time(record: Record, now: datetime, bounds: TimeBounds = BOUNDS) -> Record:
    """The record as it is, or received now where it says a time that cannot be: a server whose clock was ahead stamped it.

    A record without meta was received when the log took it, unless the log's own time is none (0, -1, a producer's fancy).
    """
    if record.meta:
        request = _read_request(record.meta, record.timestamp)
        return _received_now(record, request.meta, now) if request.received_at > now + bounds.ahead else record
    received_at = _log_time(record.timestamp)
    if received_at is not None and now - bounds.back <= received_at <= now + bounds.ahead:
        return record
    return msgspec.structs.replace(record, timestamp=int(now.timestamp() * 1000))


def _received_now(record: Record, meta: RecordMeta, now: datetime) -> Record:
    """What was stamped stays beside it; the sender's clock is not held against another's."""
    stamped_at = meta.stamped_at or meta.received_at
    meta = msgspec.structs.replace(meta, received_at=now.isoformat(), stamped_at=stamped_at, sent_at=None)
    return msgspec.structs.replace(record, meta=_encode(meta))


def _dedupe_key(source: str, event_id: str, *, browser: bool) -> bytes:
    """An id is its source's own; a browser's key takes no id from a server's key of the same name."""
    kind = "browser\x1f" if browser else ""
    return blake2b(f"{kind}{source}\x1f{event_id}".encode(), digest_size=16).digest()


def _event_type(event: SegmentEvent, meta: RecordMeta) -> EventType:
    event_type = _TYPES.get((event.type or meta.type or "").lower())
    if event_type is None:
        said = f"type {ascii(event.type)[:42]}" if event.type else "an event without 'type'"
        raise Parked(f"{said} is not one of {', '.join(_TYPES)}", "unknown_type")
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


def _time_of(
    event: SegmentEvent, request: Request, trust: SourceKind, bounds: TimeBounds
) -> tuple[datetime, str | None]:
    """When it happened; where the time as sent is not believed, when it was received, and the time as sent.

    Nobody is believed ahead, and an import alone as far back as it says, unless its key is bounded. A number, a date or a blank out of bounds is a
    device whose clock was never set; only a text that is no time at all parks the event.
    """
    timestamp = event.timestamp if event.timestamp is not None else event.original_timestamp
    received_at = request.received_at
    if timestamp is None:
        return received_at, None
    if request.times is not None:
        bounds = bounds.of_source(request.times)
    if trust == "import":
        at = _parse_past(timestamp)
        earliest = at if bounds.import_back is None else received_at - bounds.import_back
    else:
        sent_at = _sent_at(event, request)
        at = _corrected(_parse_claimed(timestamp), sent_at, received_at)
        earliest = received_at - bounds.back
    if earliest <= at <= received_at + bounds.ahead:
        return at, None
    return received_at, id_text(timestamp)[:_MAX_CLAIMED]


def _sent_at(event: SegmentEvent, request: Request) -> datetime | None:
    """What the sender's clock showed when it sent; no matter where our own showed a time that cannot be."""
    if request.stamped_at is not None:
        return None
    return _parse_time_or_none(event.sent_at) if event.sent_at is not None else request.sent_at


def _corrected(at: datetime, sent_at: datetime | None, received_at: datetime) -> datetime:
    """A live event's time less the error of the sender's clock; `sent_at` is what that showed when it sent."""
    if sent_at is None or abs(error := received_at - sent_at) >= _MAX_CLOCK_SKEW:
        return at
    try:
        return at + error
    except OverflowError:
        return at


def _properties(event: SegmentEvent, event_type: EventType) -> msgspec.Raw:
    """Properties; of identify and group the traits, which RudderStack sends inside the context.

    Where an identify call has both, both are what it says of the person: a no to mail may stand in either.
    """
    if event_type not in {"identify", "group"}:
        return _checked_properties(event.properties)
    traits = _checked_properties(event.traits)
    if event.context is None:
        return traits
    if bytes(traits) == b"{}":
        return _checked_properties(event.context.traits)
    if event_type == "identify" and event.context.traits:
        return _merged_objects(_checked_properties(event.context.traits), traits)
    return traits


def _content_id(record: Record, event: SegmentEvent) -> str:
    """An id derived from the content: a retry of the same content is the same event.

    Where the content has no timestamp either, its offset in the log counts too: two clicks are not one click.
    """
    timed = event.timestamp is not None or event.original_timestamp is not None or record.meta
    offset = b"" if timed else b"%d\x1f" % record.offset
    return "content-" + blake2b(offset + record.key + b"\x1f" + record.value, digest_size=16).hexdigest()


def _read_request(meta: bytes, timestamp: int) -> Request:
    """A product's own Kafka producer sends no meta: its source is `kafka`, the log's time is the time of receipt."""
    if meta:
        return _decode_request(meta)
    received_at = _log_time(timestamp)
    if received_at is None:
        raise Parked(f"{timestamp} is not a time of the log", "bad_time")
    return Request(RecordMeta("kafka", ""), received_at, None)


def _log_time(timestamp: int) -> datetime | None:
    """A record's own time; None for one that no clock shows."""
    try:
        return _EPOCH + timedelta(milliseconds=timestamp)
    except OverflowError:
        return None


@lru_cache(maxsize=4096)
def _decode_request(encoded: bytes) -> Request:
    """The events of one request share it, byte for byte."""
    try:
        meta = _decode_meta(encoded)
        _check_text(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Parked(f"its meta cannot be read: {error}", "bad_meta") from None
    stamped_at = _parse_time(meta.stamped_at) if meta.stamped_at is not None else None
    times = Times(meta.days_back, meta.minutes_ahead, meta.import_days_back)
    own = None if times == Times() else times
    return Request(meta, _parse_time(meta.received_at), _parse_time_or_none(meta.sent_at), stamped_at, own)


def _read_event(value: bytes) -> SegmentEvent:
    """The event of a record."""
    if len(value) > MAX_EVENT_BYTES:
        raise _too_large(len(value))
    try:
        event, value = _event_in(value)
        _check_text(value)
    except RecursionError:
        raise _too_deep() from None
    except msgspec.ValidationError as error:
        raise Parked(str(error), "bad_shape") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Parked(str(error), "bad_json") from None
    if value.count(b"{") + value.count(b"[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise _too_deep()
    return event


def _checked_properties(raw: msgspec.Raw) -> msgspec.Raw:
    """The raw object, which is sure to decode; empty where there is none."""
    content = bytes(raw)
    if content in _NO_PROPERTIES:
        return _EMPTY_OBJECT
    if content[:1] != b"{":
        raise Parked("properties and traits must be an object", "bad_shape")
    try:
        _decode_any(content)
    except msgspec.DecodeError:
        return _mended_properties(content)
    return raw


def _merged_objects(under: msgspec.Raw, over: msgspec.Raw) -> msgspec.Raw:
    """Both objects in one: what the second says stands before what the first does."""
    if bytes(under) == b"{}":
        return over
    return msgspec.Raw(_encode({**_decode_members(under), **_decode_members(over)}))


def _event_in(value: bytes) -> tuple[SegmentEvent, bytes]:
    """The event, and its JSON, mended where it had to be (a product's own producer posts to no door of ours)."""
    try:
        return _decode_event(value), value
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        mended = mend(value)
        if mended == value:
            raise
        return _decode_event(mended), mended


def _mended_properties(content: bytes) -> msgspec.Raw:
    """Half characters are found only when a string is read: a skipped one is not looked into."""
    mended = mend(content)
    try:
        _decode_any(mended)
    except msgspec.DecodeError as error:
        raise Parked(str(error), "bad_shape") from None
    return msgspec.Raw(mended)


def _parse_time(value: Id) -> datetime:
    """RFC 3339, ISO without a zone (UTC), or seconds or milliseconds since 1970. Raises Parked for anything else."""
    at = read_time(value)
    if at is None or not _EPOCH <= at < _LAST_TIME:
        raise Parked(f"{ascii(value)[:42]} is not a time between 1970 and 2200", "bad_time")
    return at


def _parse_past(value: Id) -> datetime:
    """The time of something told afterwards: as `_parse_time`, but one too far ahead is for the caller to refuse."""
    at = read_time(value)
    if at is None or at < _EPOCH:
        raise Parked(f"{ascii(value)[:42]} is not a time since 1970", "bad_time")
    return at


def _parse_claimed(value: Id) -> datetime:
    """The time that a live event claims, however absurd. Raises Parked for a text that is no time at all."""
    at = read_time(value)
    if at is not None:
        return at
    if isinstance(value, str) and value.strip() and read_number(value) is None:
        raise Parked(f"{ascii(value)[:42]} is not a time", "bad_time")
    return _EPOCH


def _parse_time_or_none(value: Id) -> datetime | None:
    """For a time that only corrects another: a bad one corrects nothing."""
    try:
        return None if value is None else _parse_time(value)
    except Parked:
        return None


def _too_large(size: int) -> Parked:
    """Why an event of so many bytes is parked."""
    return Parked(f"{size} bytes; the most is {MAX_EVENT_BYTES}", "too_large")


def _check_text(value: bytes) -> None:
    """PostgreSQL stores no NUL in a text, and a skipped string is not checked for UTF-8: neither may pass."""
    if not value.isascii():
        value.decode()
    if b"\\u0000" in value and _NUL.search(value):
        raise Parked("holds a NUL character (\\u0000)", "nul_character")


def _too_deep() -> Parked:
    return Parked(f"nested more than {MAX_DEPTH} deep", "too_deep")


def _depth(value: bytes) -> int:
    """How deep valid JSON is nested."""
    brackets = _STRING.sub(b"", value).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_DEPTH_CHANGE.__getitem__, brackets)), default=0)
