"""How did this event come in? What its request knew of it, and when that was."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import msgspec

from services.ingest.core import reading
from services.ingest.core.shapes import Meta
from services.ingest.core.times import moment, moment_or_none
from shared.failures import Parked

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_meta = msgspec.json.Decoder(Meta).decode


class Posted(NamedTuple):
    """The request, when we received it, and what the sender's clock showed when it was sent."""

    meta: Meta
    received: datetime
    sent: datetime | None


def posted_with(meta: bytes, timestamp: int) -> Posted:
    """A product's own Kafka producer sends no meta: its source is `kafka`, and the log's time is when we received it."""
    if meta:
        return _read(meta)
    try:
        return Posted(Meta("kafka", ""), _EPOCH + timedelta(milliseconds=timestamp), None)
    except OverflowError:
        raise Parked(f"{timestamp} is not a time of the log", "bad_time") from None


@lru_cache(maxsize=4096)
def _read(encoded: bytes) -> Posted:
    """The events of one request share it, byte for byte."""
    try:
        meta = _meta(encoded)
        reading.check_text(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Parked(f"its meta cannot be read: {error}", "bad_meta") from None
    return Posted(meta, moment(meta.received_at), moment_or_none(meta.sent_at))
