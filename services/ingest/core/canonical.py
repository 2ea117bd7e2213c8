"""What does a raw record say, canonically? Or why can it not be taken?"""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from services.ingest.core.shapes import Context, Item, Meta, text
from shared.bus.protocol import Record
from shared.contracts.usage import EventType
from shared.failures import Parked

_LARGEST = 1024 * 1024
_LONGEST_ID = 512
_AHEAD = timedelta(minutes=5)
_SANE_SKEW = timedelta(days=2)
_TYPES: dict[str, EventType] = {
    "track": "track", "identify": "identify", "group": "group", "page": "page", "screen": "screen", "alias": "alias",
}  # fmt: skip
_EMPTY = msgspec.Raw(b"{}")
_item = msgspec.json.Decoder(Item).decode
_meta = msgspec.json.Decoder(Meta).decode


class Draft(NamedTuple):
    """A valid event whose account may still have to be found. `key` is its dedupe key: 16 bytes of source and id."""

    key: bytes
    id: str
    type: EventType
    name: str
    at: datetime
    received_at: datetime
    source: str
    account: str
    user: str
    previous: str
    properties: msgspec.Raw
    history: str | None
    record: Record


def draft(record: Record) -> Draft:
    """Read one raw record. Raises Parked with the reason."""
    if len(record.value) > _LARGEST:
        raise Parked(f"{len(record.value)} bytes; the most is {_LARGEST}", "too_large")
    try:
        item, meta = _item(record.value), _read_meta(record)
    except RecursionError:
        raise Parked("nested too deeply", "too_deep") from None
    except msgspec.ValidationError as error:
        raise Parked(str(error), "bad_shape") from None
    except msgspec.DecodeError as error:
        raise Parked(str(error), "bad_json") from None
    kind = _kind(item, meta)
    user = text(item.user_id) or text(item.anonymous_id)
    account = _account(item, meta)
    if not user and not account:
        raise Parked("no userId, anonymousId or groupId", "no_identity")
    if max(len(user), len(account)) > _LONGEST_ID:
        raise Parked(f"an id is longer than {_LONGEST_ID} characters", "id_too_long")
    event_id = text(item.message_id) or meta.id or _content_id(record)
    received = _moment(meta.received_at)
    return Draft(
        blake2b(f"{meta.source}\x1f{event_id}".encode(), digest_size=16).digest(),
        event_id,
        kind,
        _name(item, kind),
        _happened(item, meta, received),
        received,
        meta.source,
        account,
        user,
        text(item.previous_id),
        _properties(item, kind),
        meta.history or item.history,
        record,
    )


def _read_meta(record: Record) -> Meta:
    """A product's own Kafka producer sends no meta: its source is `kafka`, and the log's time is when we received it."""
    if record.meta:
        return _meta(record.meta)
    return Meta("kafka", datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat())


def _kind(item: Item, meta: Meta) -> EventType:
    name = (item.type or meta.type or "").lower()
    if name not in _TYPES:
        raise Parked(f"type '{name[:40]}' is not one of {', '.join(_TYPES)}", "unknown_type")
    return _TYPES[name]


def _name(item: Item, kind: EventType) -> str:
    if kind == "track":
        name = (item.event or "").strip()
        if not name:
            raise Parked("a track event needs a name in 'event'", "no_event_name")
        return name[:256]
    return (item.name or "")[:256] if kind in {"page", "screen"} else ""


def _account(item: Item, meta: Meta) -> str:
    """`context.groupId` (the event's, then the batch's), then `groupId`; the user's latest group is looked up later."""
    own = text(item.context.group_id) if item.context else ""
    if not own and meta.context is not msgspec.UNSET:
        own = text(msgspec.json.decode(meta.context, type=Context).group_id)
    return own or text(item.group_id)


def _properties(item: Item, kind: EventType) -> msgspec.Raw:
    raw = item.properties
    if kind in {"identify", "group"}:
        raw = item.traits if _is_object(item.traits) or item.context is None else item.context.traits
    return raw if _is_object(raw) else _EMPTY


def _is_object(raw: msgspec.Raw) -> bool:
    return bytes(raw)[:1] == b"{"


def _happened(item: Item, meta: Meta, received: datetime) -> datetime:
    """When it happened: the sender's time, corrected by the sender's clock error, never in the future."""
    sent = item.timestamp if item.timestamp is not None else item.original_timestamp
    if sent is None:
        return received
    at = _moment(sent)
    if meta.history or item.history:
        return at
    clock = item.sent_at if item.sent_at is not None else meta.sent_at
    skew = received - _moment(clock) if clock is not None else timedelta(0)
    if abs(skew) < _SANE_SKEW:
        at += skew
    return received if at > received + _AHEAD else at


def _moment(value: str | float) -> datetime:
    """RFC 3339, ISO without a zone (UTC), or seconds or milliseconds since 1970."""
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at if at.tzinfo else at.replace(tzinfo=UTC)
        return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    except (ValueError, OverflowError, OSError):
        raise Parked(f"'{str(value)[:40]}' is not a time", "bad_time") from None


def _content_id(record: Record) -> str:
    """Without an id the content stands for it (weak, but a retry of the same content is the same event)."""
    return "content-" + blake2b(record.key + b"\x1f" + record.value, digest_size=16).hexdigest()
