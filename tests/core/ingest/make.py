"""Builders of raw records and canonical events, from the fields that matter."""

from typing import Any

import msgspec
import pytest

from services.ingest.core.canonical import CanonicalEvent, canonical_event
from services.ingest.core.segment import RecordMeta
from shared.bus.protocol import Record
from shared.contracts.usage import Source
from shared.failures import Parked
from tests.make import NOON

WEB = Source("web", "server")
TRACK = {"type": "track", "event": "Report Exported", "userId": "ann", "messageId": "m1"}


def record(value: bytes, **meta: Any) -> Record:
    """A record as the capture API writes it."""
    fields = {"source": "web", "received_at": NOON.isoformat()} | meta
    return Record(0, 0, 0, b"ann", value, msgspec.json.encode(RecordMeta(**fields)))


def event_of(meta: dict[str, Any] | None = None, **fields: Any) -> CanonicalEvent:
    """The canonical event of a track event with these fields."""
    return canonical_event(record(msgspec.json.encode(TRACK | fields), **meta or {}))


def reason(value: bytes, **meta: Any) -> str:
    """Why this record is parked."""
    with pytest.raises(Parked) as parked:
        canonical_event(record(value, **meta))
    return parked.value.code


def reason_of(**fields: Any) -> str:
    """Why a track event with these fields is parked."""
    return reason(msgspec.json.encode(TRACK | fields))
