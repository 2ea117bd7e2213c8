"""Parked records: which raw records are invalid, and the reason of each."""

import msgspec
import pytest

from services.ingest.core.canonical import canonical_event
from services.ingest.core.segment import MAX_DEPTH
from shared.bus.protocol import Record
from shared.failures import Parked
from tests.core.ingest.make import TRACK, reason, reason_of, record

PLAIN = msgspec.json.encode(TRACK)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe\x00",
        PLAIN + b"x",
        PLAIN[:-1],
        b'{"event":"\xff"}',
        b'{"event":"\\x y z"}',
    ],
)
def test_what_is_not_json_is_parked(value: bytes) -> None:
    assert reason(value) == "bad_json"


@pytest.mark.parametrize("value", [b"1", b"null", b'"track"', b"[]", b"true"])
def test_what_is_not_an_object_is_parked(value: bytes) -> None:
    assert reason(value) == "bad_shape"


@pytest.mark.parametrize(
    "field",
    [
        {"userId": {}},
        {"userId": True},
        {"event": 5},
        {"type": 5},
        {"context": "web"},
        {"timestamp": []},
        {"properties": "pdf"},
        {"properties": [1]},
        {"properties": 5},
        {"history": 5},
    ],
)
def test_a_field_of_the_wrong_type_is_parked(field: dict[str, object]) -> None:
    assert reason_of(**field) == "bad_shape"


@pytest.mark.parametrize("kind", [None, "", "click", "tracks", "x" * 100, "\x7f"])
def test_an_unknown_type_is_parked(kind: str | None) -> None:
    assert reason_of(type=kind) == "unknown_type"


@pytest.mark.parametrize("name", [None, "", "   "])
def test_a_track_event_without_a_name_is_parked(name: str | None) -> None:
    assert reason_of(event=name) == "no_event_name"


def test_an_event_of_nobody_is_parked() -> None:
    assert reason_of(userId="") == "no_identity"


@pytest.mark.parametrize("field", ["userId", "groupId", "messageId", "previousId", "history"])
def test_an_endless_id_is_parked(field: str) -> None:
    assert reason_of(**{field: "x" * 513}) == "id_too_long"


@pytest.mark.parametrize(
    "field",
    [{"userId": "a\0"}, {"event": "\0"}, {"type": "tr\0ack"}, {"groupId": "\0"}, {"properties": {"note": {"\0": 1}}}],
)
def test_a_nul_character_is_parked_for_postgres_keeps_none(field: dict[str, object]) -> None:
    assert reason_of(**field) == "nul_character"


def test_a_backslash_before_u0000_is_no_nul_character() -> None:
    text = rb'{"type":"track","event":"x","userId":"a","properties":{"path":"C:\\u0000\\\\u0000"}}'
    assert canonical_event(record(text)).name == "x"


def test_a_nul_character_in_the_requests_own_words_is_parked() -> None:
    assert reason(PLAIN, group="ac\0me") == "nul_character"


@pytest.mark.parametrize("value", [b"1e999", b"9" * 5000, b'"\xff"', b'"\xed\xa0\x80"'])
def test_properties_that_a_later_reader_could_not_decode_are_parked(value: bytes) -> None:
    whole = b'{"type":"track","event":"x","userId":"a","properties":{"a":%s}}' % value
    assert reason(whole) in {"bad_shape", "bad_json"}


@pytest.mark.parametrize("levels", [MAX_DEPTH, 900, 100_000])
@pytest.mark.parametrize("key", [b"properties", b"unknown"])
def test_what_is_nested_too_deep_is_parked(key: bytes, levels: int) -> None:
    nested = b'{"a":' * levels + b"1" + b"}" * levels
    assert reason(b'{"type":"track","event":"x","userId":"a","%s":%s}' % (key, nested)) == "too_deep"


def test_what_is_nested_as_deep_as_may_be_is_taken() -> None:
    nested = b'{"a":' * (MAX_DEPTH - 1) + b"1" + b"}" * (MAX_DEPTH - 1)
    found = canonical_event(
        record(b'{"type":"track","event":"x","userId":"a","messageId":"m1","properties":%s}' % nested)
    )
    assert bytes(found.properties) == nested


def test_many_brackets_are_not_depth() -> None:
    wide = {"rows": [{"n": [n]} for n in range(500)], "text": "[[[[{{{{" * 100, "quote": '"[' * 100}
    assert canonical_event(record(msgspec.json.encode(TRACK | {"properties": wide}))).id == "m1"


def test_a_million_quotes_are_judged_at_once() -> None:
    assert canonical_event(record(msgspec.json.encode(TRACK | {"properties": {"q": '"[' * 300_000}}))).id == "m1"


def test_an_event_over_a_mebibyte_is_parked() -> None:
    assert reason_of(properties={"x": "y" * 1024 * 1024}) == "too_large"
    assert reason(b"{", size=3_000_000) == "too_large"


@pytest.mark.parametrize(
    "meta",
    [b"{", b"5", b"{}", b"\xff", b'{"source":"a","received_at":"soon"}', b'{"source":"\\u0000","received_at":"2026"}'],
)
def test_a_forged_meta_is_parked(meta: bytes) -> None:
    with pytest.raises(Parked):
        canonical_event(Record(0, -1, 0, b"", PLAIN, meta))


def test_a_log_time_that_no_clock_shows_is_parked() -> None:
    with pytest.raises(Parked) as parked:
        canonical_event(Record(0, -1, 2**80, b"", PLAIN, b""))
    assert parked.value.code == "bad_time"


@pytest.mark.parametrize("written", ["\x01é😀", "🤷" * 50])
def test_a_reason_never_repeats_what_the_database_would_refuse(written: str) -> None:
    for field in ("type", "timestamp"):
        with pytest.raises(Parked) as parked:
            canonical_event(record(msgspec.json.encode(TRACK | {field: written})))
        assert str(parked.value).isascii()
        assert str(parked.value).isprintable()
