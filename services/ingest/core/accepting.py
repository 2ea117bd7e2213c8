"""What is in a posted body? Raw records, one an event, keyed by account where the event names it, else by its user."""

import re
from collections.abc import Iterator
from datetime import datetime

import msgspec

from services.ingest.core.limits import EVENT_BYTES, ID_LENGTH
from services.ingest.core.shapes import Address, Envelope, Group, Meta, text
from shared.bus.protocol import Outgoing
from shared.failures import Refused
from shared.ids import derived

MOST = 20_000
"""Events in one body: 20 MiB of empty ones would be millions."""
_KEPT = 4096
_body = msgspec.json.Decoder(Envelope).decode
_address = msgspec.json.Decoder(Address).decode
_group = msgspec.json.Decoder(Group).decode
_encode = msgspec.json.Encoder().encode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def envelope(body: bytes) -> Envelope:
    """Raises Refused when the body is not JSON, or not an object of the expected shape."""
    try:
        found = _body(body)
    except msgspec.ValidationError as error:
        raise Refused(f"not an event batch: {error}", "bad_shape") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"the body is not JSON: {error}", "bad_json") from None
    except RecursionError:
        raise Refused("the body is nested too deeply", "too_deep") from None
    if found.batch is not None and len(found.batch) > MOST:
        raise Refused(f"{len(found.batch)} events in one body; the most is {MOST}", "too_many", 413)
    return found


def mended(body: bytes) -> bytes:
    """Halves of characters (what JSON.stringify and json.dumps make of a cut emoji) replaced, as browsers would."""
    return _ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], body)


def records(found: Envelope, body: bytes, source: str, path_type: str | None, now: datetime) -> Iterator[Outgoing]:
    """The raw records of a body. Nothing is judged here: a bad event travels on, and is parked with its reason."""
    meta = Meta(source, now.isoformat(), found.sentAt, path_type, found.history, _group_of(found))
    common = _encode(meta)
    items = map(bytes, found.batch) if found.batch is not None else [body]
    for index, raw in enumerate(items):
        key, named = _keyed(raw, meta.group)
        if len(raw) > EVENT_BYTES:
            yield Outgoing(key, raw[:_KEPT], _encode(msgspec.structs.replace(meta, size=len(raw))))
        elif named:
            yield Outgoing(key, raw, common)
        else:
            minted = derived("minted", source, meta.received_at, index, raw)
            yield Outgoing(key, raw, _encode(msgspec.structs.replace(meta, id=minted)))


def _group_of(found: Envelope) -> str:
    """The group the batch's context names; a single event's context is the event's own."""
    try:
        return text(_group(found.context).group_id) if found.batch is not None else ""
    except _UNREADABLE:
        return ""


def _keyed(raw: bytes, group: str) -> tuple[bytes, bool]:
    """The partition key, and whether the event can be told from its like (by id, or by its moment)."""
    try:
        item = _address(raw)
    except _UNREADABLE:
        return b"", True
    own = text(item.context.group_id) if item.context else ""
    key = own or group or text(item.group_id) or text(item.user_id) or text(item.anonymous_id)
    named = item.timestamp is not None or item.original_timestamp is not None or text(item.message_id) != ""
    return key.encode() if len(key) <= ID_LENGTH else b"", named
