"""Fuzzing: any input is a canonical event, or parked, or refused, and nothing else."""

import gzip
from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any, TypeVar

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.core.account_resolution import resolve, users_to_lock
from services.ingest.core.canonical import canonical_event
from services.ingest.core.segment import SegmentEvent, parse_envelope, raw_records, replace_lone_surrogates
from services.ingest.http import gunzip
from shared.bus.protocol import Record
from shared.contracts.usage import UsageEvent
from shared.failures import Failure, Parked, Refused
from tests.core.ingest.make import TRACK, WEB
from tests.make import NOON

KEYS = [*SegmentEvent.__struct_encode_fields__, "batch", "writeKey"]
ZONES = st.timedeltas(-timedelta(hours=23), timedelta(hours=23)).map(timezone)
words = st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
times = st.datetimes().map(str) | st.datetimes(timezones=ZONES).map(lambda at: at.isoformat())
anything = st.recursive(
    scalars | times,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
events = st.dictionaries(st.sampled_from(KEYS), anything, max_size=5).map(lambda some: TRACK | some)
contexts = st.fixed_dictionaries({}, optional={"groupId": scalars, "traits": anything})
nearly = st.builds(lambda event, context: event | {"context": context}, events, contexts) | events
encoded = nearly.map(msgspec.json.encode)


T = TypeVar("T")


def outcome(work: Callable[[], T]) -> T | Failure:
    """What comes of it, a failure of ours included; any other error is the test's."""
    try:
        return work()
    except (Parked, Refused) as why:
        return why


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """An event with some of its bytes replaced."""
    content = draw(encoded)
    place = draw(st.integers(0, len(content)))
    return content[:place] + draw(st.binary(max_size=6)) + content[place + draw(st.integers(0, 6)) :]


def judged(record: Record) -> None:
    """An event must be publishable and readable again, in all its parts; or the record is parked for a printable reason."""
    event = outcome(lambda: canonical_event(record))
    if isinstance(event, Failure):
        assert isinstance(event, Parked)
        assert str(event).replace("\0", "").encode().decode() == str(event)
        return
    users_to_lock([event], {})
    found = resolve([event], {})
    assert len(found.resolved) + len(found.unresolved) == 1
    for one in found.resolved:
        again: Any = msgspec.json.decode(msgspec.json.encode(one), type=UsageEvent)
        assert (again.id, again.account, again.at, again.user) == (one.id, one.account, one.at, one.user)
        assert isinstance(msgspec.json.decode(again.properties), dict)
        assert "\0" not in f"{again.id}{again.account}{again.user}{again.name}{again.history}"


@given(st.binary() | encoded | spoilt(), st.integers(-(2**63), 2**63))
def test_any_record_of_the_log_is_an_event_or_parked(value: bytes, timestamp: int) -> None:
    judged(Record(0, -1, timestamp, b"", value, b""))


@given(encoded, st.binary(min_size=1) | encoded)
def test_any_meta_gives_an_event_or_parks(value: bytes, meta: bytes) -> None:
    judged(Record(0, -1, 0, b"", value, meta))


@given(
    st.binary()
    | encoded
    | spoilt()
    | st.lists(nearly, max_size=4).map(lambda some: msgspec.json.encode({"batch": some}))
)
def test_any_body_is_records_or_refused(body: bytes) -> None:
    found = outcome(lambda: parse_envelope(body))
    if isinstance(found, Failure):
        assert isinstance(found, Refused)
        assert isinstance(replace_lone_surrogates(body), bytes)
        return
    for key, value, meta in raw_records(found, body, WEB, "track", NOON):
        judged(Record(0, -1, 0, key, value, meta))


@given(st.binary() | st.binary().map(gzip.compress), st.integers(0, 40))
def test_any_gzip_is_inflated_or_refused(body: bytes, cut: int) -> None:
    found = outcome(lambda: gunzip(b"\x1f\x8b" + body[cut:]))
    assert isinstance(found, bytes | Refused)
