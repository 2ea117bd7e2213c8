"""What do tracking SDKs send? The Segment shape, read loosely: nulls, numbers for ids, and unknown keys are normal."""

import msgspec

Id = str | int | float | None


class Context(msgspec.Struct, gc=False, rename="camel"):
    """What we read of `context`: the group, and the traits where RudderStack's identify puts them."""

    group_id: Id = None
    traits: msgspec.Raw = msgspec.Raw(b"")


class Item(msgspec.Struct, gc=False, rename="camel"):
    """One event as it arrived."""

    type: str | None = None
    message_id: Id = None
    event: str | None = None
    name: str | None = None
    user_id: Id = None
    anonymous_id: Id = None
    group_id: Id = None
    previous_id: Id = None
    timestamp: Id = None
    original_timestamp: Id = None
    sent_at: Id = None
    context: Context | None = None
    properties: msgspec.Raw = msgspec.Raw(b"")
    traits: msgspec.Raw = msgspec.Raw(b"")
    history: str | None = None


class Group(msgspec.Struct, gc=False, rename="camel"):
    """The group a `context` names."""

    group_id: Id = None


class Address(msgspec.Struct, gc=False, rename="camel"):
    """What the door reads of an event: whose it is, and what tells it from its like. The rest is the reader's work."""

    message_id: Id = None
    user_id: Id = None
    anonymous_id: Id = None
    group_id: Id = None
    timestamp: Id = None
    original_timestamp: Id = None
    context: Group | None = None


class Envelope(msgspec.Struct, gc=False):
    """A posted body: a batch, or a single event beside these keys (then `batch` is None)."""

    batch: list[msgspec.Raw] | None = None
    sentAt: Id = None  # noqa: N815  as on the wire
    writeKey: str | None = None  # noqa: N815
    context: msgspec.Raw = msgspec.Raw(b"")
    history: str | None = None


class Meta(msgspec.Struct, gc=False, omit_defaults=True):
    """What the request knew of its events; travels beside each raw record.

    `source` names the write key, `type` comes from the path, `group` from the batch's context. `id` is minted for an
    event that has neither id nor timestamp; `size` is that of an event too large to travel, of which only the start did.
    """

    source: str
    received_at: str
    sent_at: Id = None
    type: str | None = None
    history: str | None = None
    group: str = ""
    id: str | None = None
    size: int = 0


def text(value: Id) -> str:
    """An id as text; empty for none. 17.0 sent by JavaScript is "17"."""
    if value.__class__ is str:  # all but a few
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
