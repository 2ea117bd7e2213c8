"""Can this record be read, by us and by everybody after us? Raises Parked for whatever would make a later reader fail."""

import re
from itertools import accumulate

import msgspec

from services.ingest.core.limits import DEPTH, EVENT_BYTES
from services.ingest.core.shapes import Item
from shared.failures import Parked

_item = msgspec.json.Decoder(Item).decode
_anything = msgspec.json.Decoder().decode
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_EMPTY = msgspec.Raw(b"{}")
_NOTHING = (b"", b"null", b"[]")
"""No properties, as SDKs say it: the key is absent, or null, or PHP's empty array."""


def item(value: bytes) -> Item:
    """The event of a record."""
    if len(value) > EVENT_BYTES:
        raise too_large(len(value))
    try:
        found = _item(value)
        check_text(value)
    except RecursionError:
        raise _too_deep() from None
    except msgspec.ValidationError as error:
        raise Parked(str(error), "bad_shape") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Parked(str(error), "bad_json") from None
    if value.count(b"{") + value.count(b"[") > DEPTH and _depth(value) > DEPTH:
        raise _too_deep()
    return found


def check_text(value: bytes) -> None:
    """PostgreSQL keeps no NUL in a text, and a skipped string is not checked for UTF-8: neither may pass."""
    if not value.isascii():
        value.decode()
    if b"\\u0000" in value and _NUL.search(value):
        raise Parked("holds a NUL character (\\u0000)", "nul_character")


def properties(raw: msgspec.Raw) -> msgspec.Raw:
    """The raw object, which is sure to decode; empty where there is none."""
    content = bytes(raw)
    if content in _NOTHING:
        return _EMPTY
    if content[:1] != b"{":
        raise Parked("properties and traits must be an object", "bad_shape")
    try:
        _anything(content)
    except msgspec.DecodeError as error:
        raise Parked(str(error), "bad_shape") from None
    return raw


def too_large(size: int) -> Parked:
    """Why an event of so many bytes is parked."""
    return Parked(f"{size} bytes; the most is {EVENT_BYTES}", "too_large")


def _too_deep() -> Parked:
    return Parked(f"nested more than {DEPTH} deep", "too_deep")


def _depth(value: bytes) -> int:
    """How deep valid JSON is nested."""
    brackets = _STRING.sub(b"", value).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)
