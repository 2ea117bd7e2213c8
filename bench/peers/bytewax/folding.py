"""Fold of an event for Bytewax; the decoder skips the other fields."""

import msgspec


class Properties(msgspec.Struct, gc=False):
    """The one property that is folded."""

    feature: str


class Event(msgspec.Struct, gc=False):
    """One event."""

    account: str
    at: str
    properties: Properties


decode = msgspec.json.Decoder(Event).decode
