"""What is in a posted body? Raw records, one an event, keyed by account where the event names it, else by its user."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from services.ingest.core.shapes import Envelope, Item, Meta, text
from shared.bus.protocol import Outgoing
from shared.failures import Refused
from shared.ids import derived

_body = msgspec.json.Decoder(Envelope)
_item = msgspec.json.Decoder(Item)
_encode = msgspec.json.Encoder().encode


def envelope(body: bytes) -> Envelope:
    """Raises Refused when the body is not JSON, or not an object of the expected shape."""
    try:
        return _body.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(f"not an event batch: {error}", "bad_shape") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"the body is not JSON: {error}", "bad_json") from None
    except RecursionError:
        raise Refused("the body is nested too deeply", "too_deep") from None


def records(found: Envelope, body: bytes, source: str, path_type: str | None, now: datetime) -> Iterator[Outgoing]:
    """The raw records of a body. Nothing is judged here: a bad event travels on, and is parked with its reason."""
    received = now.isoformat()
    meta = Meta(source, received, found.sentAt, path_type, found.history, found.context)
    common = _encode(meta)
    items = [bytes(item) for item in found.batch] if found.batch is not None else [body]
    for index, raw in enumerate(items):
        key, named = _keyed(raw)
        if named:
            yield Outgoing(key, raw, common)
        else:
            minted = msgspec.structs.replace(meta, id=derived("minted", source, received, index, raw))
            yield Outgoing(key, raw, _encode(minted))


def _keyed(raw: bytes) -> tuple[bytes, bool]:
    """The partition key, and whether the event can be told from its like (by id, or by its moment)."""
    try:
        item = _item.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return b"", True
    group = item.context.group_id if item.context else None
    key = text(group) or text(item.group_id) or text(item.user_id) or text(item.anonymous_id)
    return key.encode(), item.message_id is not None or item.timestamp is not None
