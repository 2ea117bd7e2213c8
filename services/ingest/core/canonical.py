"""What does a raw record say, canonically? Or why can it not be taken?"""

from datetime import datetime
from hashlib import blake2b

import msgspec

from services.ingest.core import reading
from services.ingest.core.limits import ID_LENGTH, NAME_LENGTH
from services.ingest.core.posting import Posted, posted_with
from services.ingest.core.shapes import Item, Meta, text
from services.ingest.core.times import happened, moment, moment_or_none
from shared.bus.protocol import Record
from shared.contracts.usage import EventType
from shared.failures import Parked

_TYPES: dict[str, EventType] = {
    "track": "track", "identify": "identify", "group": "group", "page": "page", "screen": "screen", "alias": "alias",
}  # fmt: skip


class Draft(msgspec.Struct, frozen=True, gc=False):
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
    """Read one raw record. Raises Parked with the reason, and nothing else."""
    posted = posted_with(record.meta, record.timestamp)
    meta = posted.meta
    if meta.size:
        raise reading.too_large(meta.size)
    item = reading.item(record.value)
    kind = _kind(item, meta)
    user, account, previous = _who(item, meta)
    event_id = text(item.message_id) or meta.id or _content_id(record, item)
    history = meta.history or item.history or None
    _check_lengths(user, account, previous, event_id, history or "")
    return Draft(
        blake2b(f"{meta.source}\x1f{event_id}".encode(), digest_size=16).digest(),
        event_id,
        kind,
        _name(item, kind),
        _happened(item, posted, history),
        posted.received,
        meta.source,
        account,
        user,
        previous,
        _properties(item, kind),
        history,
        record,
    )


def _kind(item: Item, meta: Meta) -> EventType:
    kind = _TYPES.get((item.type or meta.type or "").lower())
    if kind is None:
        raise Parked(f"type {ascii(item.type or '')[:42]} is not one of {', '.join(_TYPES)}", "unknown_type")
    return kind


def _who(item: Item, meta: Meta) -> tuple[str, str, str]:
    """User, account, and the user's former id.

    The account: `context.groupId` (the event's, then the batch's), then `groupId`; the user's latest is looked up later.
    """
    user = text(item.user_id) or text(item.anonymous_id)
    own = text(item.context.group_id) if item.context else ""
    account = own or meta.group or text(item.group_id)
    if not user and not account:
        raise Parked("no userId, anonymousId or groupId", "no_identity")
    return user, account, text(item.previous_id)


def _check_lengths(*ids: str) -> None:
    for one in ids:
        if len(one) > ID_LENGTH:
            raise Parked(f"an id is longer than {ID_LENGTH} characters", "id_too_long")


def _name(item: Item, kind: EventType) -> str:
    if kind == "track":
        name = (item.event or "").strip()
        if not name:
            raise Parked("a track event needs a name in 'event'", "no_event_name")
        return name[:NAME_LENGTH]
    return (item.name or "").strip()[:NAME_LENGTH] if kind in {"page", "screen"} else ""


def _happened(item: Item, posted: Posted, history: str | None) -> datetime:
    """An import's times are trusted; everybody else's are corrected."""
    sent = item.timestamp if item.timestamp is not None else item.original_timestamp
    if history and sent is not None:
        return moment(sent)
    clock = moment_or_none(item.sent_at) if item.sent_at is not None else posted.sent
    return happened(sent, clock, posted.received)


def _properties(item: Item, kind: EventType) -> msgspec.Raw:
    """Properties; of identify and group the traits, which RudderStack sends inside the context."""
    if kind not in {"identify", "group"}:
        return reading.properties(item.properties)
    own = reading.properties(item.traits)
    return reading.properties(item.context.traits) if bytes(own) == b"{}" and item.context else own


def _content_id(record: Record, item: Item) -> str:
    """Without an id the content stands for it: a retry of the same content is the same event.

    Where the content has no moment either, its place in the log is one: two clicks are not one click.
    """
    placed = item.timestamp is not None or item.original_timestamp is not None or record.meta
    place = b"" if placed else b"%d\x1f" % record.offset
    return "content-" + blake2b(place + record.key + b"\x1f" + record.value, digest_size=16).hexdigest()
