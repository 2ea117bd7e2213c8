"""Decoding of raw records: the JSON of an event and the meta of its request, checked for every later reader.

Raises Parked for content that would make a later reader (or PostgreSQL) fail.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import msgspec

from services.ingest.core.segment import MAX_DEPTH, MAX_EVENT_BYTES, Id, RecordMeta, SegmentEvent, mend
from shared.contracts.usage import Times
from shared.failures import Parked
from shared.values import read_number, read_time

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


def decode_request(meta: bytes, timestamp: int) -> Request:
    """A product's own Kafka producer sends no meta: its source is `kafka`, the log's time is the time of receipt."""
    if meta:
        return _decode_request(meta)
    received_at = log_time(timestamp)
    if received_at is None:
        raise Parked(f"{timestamp} is not a time of the log", "bad_time")
    return Request(RecordMeta("kafka", ""), received_at, None)


def log_time(timestamp: int) -> datetime | None:
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
    stamped_at = parse_time(meta.stamped_at) if meta.stamped_at is not None else None
    times = Times(meta.days_back, meta.minutes_ahead, meta.import_days_back)
    own = None if times == Times() else times
    return Request(meta, parse_time(meta.received_at), parse_time_or_none(meta.sent_at), stamped_at, own)


def decode_event(value: bytes) -> SegmentEvent:
    """The event of a record."""
    if len(value) > MAX_EVENT_BYTES:
        raise too_large(len(value))
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


def checked_properties(raw: msgspec.Raw) -> msgspec.Raw:
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


def merged_objects(under: msgspec.Raw, over: msgspec.Raw) -> msgspec.Raw:
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


def parse_time(value: Id) -> datetime:
    """RFC 3339, ISO without a zone (UTC), or seconds or milliseconds since 1970. Raises Parked for anything else."""
    at = read_time(value)
    if at is None or not _EPOCH <= at < _LAST_TIME:
        raise Parked(f"{ascii(value)[:42]} is not a time between 1970 and 2200", "bad_time")
    return at


def parse_past(value: Id) -> datetime:
    """The time of something told afterwards: as `parse_time`, but one too far ahead is for the caller to refuse."""
    at = read_time(value)
    if at is None or at < _EPOCH:
        raise Parked(f"{ascii(value)[:42]} is not a time since 1970", "bad_time")
    return at


def parse_claimed(value: Id) -> datetime:
    """The time that a live event claims, however absurd. Raises Parked for a text that is no time at all."""
    at = read_time(value)
    if at is not None:
        return at
    if isinstance(value, str) and value.strip() and read_number(value) is None:
        raise Parked(f"{ascii(value)[:42]} is not a time", "bad_time")
    return _EPOCH


def parse_time_or_none(value: Id) -> datetime | None:
    """For a time that only corrects another: a bad one corrects nothing."""
    try:
        return None if value is None else parse_time(value)
    except Parked:
        return None


def too_large(size: int) -> Parked:
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
