"""Write keys in requests: where SDKs put them, which ones a body names, and events without them, as they are stored."""

import base64
import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

_MEMBER = re.compile(rb'"writeKey"\s{0,9}:\s{0,9}("[^"\\]*+(?:\\.[^"\\]*+)*+")', re.DOTALL)
"""Inside a string its quotes would be escaped: this finds members only."""
_NAME = b'"writeKey"'
_LOOKED_AT = 100
"""A body of an SDK names its key at most once beside each event, always the same; more of them are not looked up."""
_decode_text = msgspec.json.Decoder(str).decode


class HeadCredentials(NamedTuple):
    """What the head of a request says: `deciding` stands before whatever the body says, `bearer` behind it."""

    deciding: str
    bearer: str


def credentials_in_head(authorization: str, query: str) -> HeadCredentials:
    """SDKs put the write key in four places, and mean it in this order.

    Basic user name, `?writeKey=`, `writeKey` in the body, and last Bearer, which may be an OAuth token beside them.
    """
    scheme, _, token = authorization.partition(" ")
    scheme = scheme.lower()
    basic = _basic_user_name(token.strip()) if scheme == "basic" else ""
    return HeadCredentials(basic or query, token.strip() if scheme == "bearer" else "")


def write_keys_in(body: bytes) -> Iterator[str]:
    """The write keys that a body names, each once, found without parsing it."""
    named = (match[1] for match in _MEMBER.finditer(body))
    return iter(dict.fromkeys(filter(None, map(_text, islice(named, _LOOKED_AT)))))


def stands_in_events(body: bytes, write_key: bytes, in_envelope: int) -> bool:
    """Whether a write key may stand in an event of this body, beside the `in_envelope` times that the envelope names it."""
    return body.count(_NAME) > in_envelope or body.count(write_key) > in_envelope


def without_write_keys(event: bytes, write_key: bytes) -> bytes:
    """The event as it may be stored: no member `writeKey` has a value, and the key of the request stands nowhere in it."""
    named = event.count(_NAME)
    if named and event.count(as_written := b'"writeKey":"%b"' % write_key) == named:
        event = event.replace(as_written, b'"writeKey":null')
    elif named:
        event = _MEMBER.sub(b'"writeKey":null', event)
    return event.replace(write_key, b"[write key]") if write_key in event else event


def _text(member: bytes) -> str:
    try:
        return _decode_text(member)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _basic_user_name(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), validate=True).decode().partition(":")[0]
    except ValueError:
        return ""
