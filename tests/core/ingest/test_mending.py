"""Bodies that are not quite JSON: what can be mended is, and what cannot costs one event of its batch."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.core.canonical import canonical_event
from services.ingest.core.segment import MAX_EVENTS, mend, parse_envelope, parse_unclean_envelope, raw_records
from shared.bus.protocol import Record
from shared.failures import Parked, Refused
from tests.core.ingest.make import WEB, record
from tests.make import NOON

ANN = b'{"type":"track","event":"Opened","userId":"ann","messageId":"1","context":{"groupId":"acme"}}'
DEEP = b'{"type":"track","event":"Opened","userId":"ann","properties":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}"


def of_batch(body: bytes) -> list[str]:
    """What becomes of each event: its id, or the reason for which it is parked."""
    envelope, mended = parse_unclean_envelope(body)
    found = []
    for key, value, meta in raw_records(envelope, mended, WEB, None, NOON):
        try:
            found.append(canonical_event(Record(0, -1, 0, key, value, meta)).id)
        except Parked as why:
            found.append(why.code)
    return found


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_a_number_that_is_none_becomes_null(number: bytes) -> None:
    assert mend(b'{"a":%b,"b":[%b, 1]}' % (number, number)) == b'{"a":null,"b":[null, 1]}'


@pytest.mark.parametrize(
    "text", [b'{"a":"NaN"}', b'{"a":"\\", NaN, \\\\"}', b'{"NaN":"x, -Infinity"}', b'{"BaNaNa":1}']
)
def test_the_words_inside_a_text_stay(text: bytes) -> None:
    assert mend(text) == text


def test_a_byte_order_mark_is_stripped() -> None:
    assert of_batch(b'\xef\xbb\xbf{"batch":[' + ANN + b"]}") == ["1"]


@pytest.mark.parametrize("sent_at", [b"{}", b"true", b"[[]]"])
def test_a_sent_at_that_cannot_be_read_costs_no_event_its_place(sent_at: bytes) -> None:
    envelope = parse_envelope(b'{"batch":[%b],"sentAt":%b}' % (ANN, sent_at))
    assert (len(envelope.batch or ()), envelope.sentAt) == (1, None)


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read_by_its_mark(codec: str) -> None:
    marked = (b'{"batch":[' + ANN + b"]}").decode().encode(codec)
    marks = {"utf-16": b"", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    assert of_batch(marks[codec] + marked) == ["1"]


def test_the_neighbours_of_an_event_that_is_too_deep_are_taken() -> None:
    body = b'{"batch":[' + b",".join([ANN, DEEP, ANN.replace(b'"1"', b'"2"')]) + b'],"writeKey":"k"}'
    assert of_batch(body) == ["1", "too_deep", "2"]
    assert parse_unclean_envelope(body)[0].writeKey == "k"


@pytest.mark.parametrize("value", [b'{"a":' * 5000 + b"1" + b"}" * 5000, b"oops", b'"\\x"', b'{"a":,}'])
@pytest.mark.parametrize("name", [b"context", b"integrations", b"sentAt"])
def test_what_cannot_be_read_beside_a_batch_costs_no_event_its_place(name: bytes, value: bytes) -> None:
    member = b'"%b":%b' % (name, value)
    for body in (b'{"writeKey":"k",%b,"batch":[%b]}', b'{"writeKey":"k",%b,\n "batch" : [%b] } '):
        assert of_batch(body % (member, ANN)) == ["1"]
        assert parse_unclean_envelope(body % (member, ANN))[0].writeKey == "k"
    assert of_batch(b'{"batch":[%b,oops],%b,"context":{"groupId":"x"}}' % (ANN, member)) == ["1", "bad_json"]


@pytest.mark.parametrize("key", [b"1", b"true", b"{}", b"[[]]", b"null"])
def test_a_write_key_that_is_no_text_is_none(key: bytes) -> None:
    envelope = parse_envelope(b'{"batch":[%b],"writeKey":%b}' % (ANN, key))
    assert (len(envelope.batch or ()), envelope.writeKey) == (1, None)


@pytest.mark.parametrize("broken", [b'{"type":"track","event":"\\x"}', b"oops", b"", b'{"a" 1}', b"{1:2}"])
def test_the_neighbours_of_an_event_that_is_no_json_are_taken(broken: bytes) -> None:
    assert of_batch(b'{"batch":[' + ANN + b"," + broken + b"," + ANN.replace(b'"1"', b'"2"') + b"]}") == [
        "1",
        "bad_json",
        "2",
    ]


@pytest.mark.parametrize(
    "body",
    [b'{"batch":[{]}', b'{"batch":[', b'{"batch":[}]', b'{"x":[oops]}', b'{"batch":[oops]', b'{"batch":[]}oops', b'"batch":[oops]',
     b'{"batch":[oops],"history":oops}', b'{"batch":[oops],"history":1}', b'{"batch":[oops]}{"x":oops}', b'{"x":{"batch":[oops]}}', b'{"batch":"[oops]"', b'["batch",[oops]]', b"}{", b"]"],
)  # fmt: skip
def test_what_cannot_be_cut_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        parse_unclean_envelope(body)


@pytest.mark.parametrize("start", [b'{"a":NaN,"b":"', b'{"batch":[oops,"', b'"'])
def test_a_text_that_ends_inside_a_string_is_read_once_whatever_quotes_it_escapes(start: bytes) -> None:
    """Read anew from each quote, half a million of them would take days."""
    with pytest.raises(Refused):
        parse_unclean_envelope(start + b'\\"' * 500_000)


def test_a_batch_of_too_many_events_is_not_cut() -> None:
    assert len(of_batch(b'{"batch":[oops' + b",{}" * (MAX_EVENTS - 1) + b"]}")) == MAX_EVENTS
    with pytest.raises(Refused) as refused:
        parse_unclean_envelope(b'{"batch":[oops' + b",{}" * MAX_EVENTS + b"]}")
    assert (refused.value.code, refused.value.status) == ("too_many", 413)


def test_half_a_character_costs_no_event() -> None:
    for field in (
        b'"event":"Opened \\ud83d"',
        b'"event":"x","properties":{"a":"\\ud83d"}',
        b'"event":"x","name":"\\ude00"',
    ):
        event = b'{"type":"track","messageId":"1","userId":"ann",' + field + b"}"
        assert canonical_event(record(event)).id == "1"
        assert of_batch(b'{"batch":[' + event + b"]}") == ["1"]


def test_a_product_that_writes_to_the_log_itself_may_write_nan() -> None:
    event = canonical_event(record(ANN.replace(b'"messageId"', b'"properties":{"ratio":NaN},"messageId"')))
    assert msgspec.json.decode(event.properties) == {"ratio": None}


JSON = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(alphabet='aN"\\,[]{}:😀', max_size=4) | st.just("NaN, Infinity"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='ab"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_clean_json_is_mended_into_itself(value: Any) -> None:
    for text in (msgspec.json.encode(value), msgspec.json.format(msgspec.json.encode(value))):
        assert mend(text) == text


@given(st.lists(JSON, max_size=4))
def test_a_batch_is_cut_into_its_events_whatever_they_hold(events: list[Any]) -> None:
    body = b'{"context":{"batch":[1]},"batch":[%b],"sentAt":"x"}' % b",".join(
        [*map(msgspec.json.encode, events), b"oops"]
    )
    batch = parse_unclean_envelope(body)[0].batch
    assert batch is not None
    assert [msgspec.json.decode(event) for event in batch[:-1]] == events
    assert bytes(batch[-1]) == b"oops"
