"""Segment API: a posted body cut into raw records."""

from typing import Any

import msgspec
import pytest

from services.ingest.core.segment import MAX_EVENTS, RecordMeta, parse_envelope, raw_records, replace_lone_surrogates
from shared.bus.protocol import ProducerRecord
from shared.failures import Refused
from tests.core.ingest.make import WEB
from tests.make import NOON


def taken(body: Any, path_type: str | None = None) -> list[ProducerRecord]:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return list(raw_records(parse_envelope(content), content, WEB, path_type, NOON))


def meta(outgoing: ProducerRecord) -> RecordMeta:
    return msgspec.json.decode(outgoing.meta, type=RecordMeta)


def refusal(body: bytes) -> tuple[str, int]:
    with pytest.raises(Refused) as refused:
        parse_envelope(body)
    return refused.value.code, refused.value.status


def test_a_batch_is_its_events_untouched() -> None:
    first, second = taken(b'{"batch":[ {"messageId":"1", "x":1} , {"messageId":"2"}]}')
    assert (first.value, second.value) == (b'{"messageId":"1", "x":1}', b'{"messageId":"2"}')
    assert first.meta == second.meta


def test_a_body_without_a_batch_is_one_event() -> None:
    (one,) = taken({"messageId": "1", "userId": "ann", "writeKey": "k"}, "track")
    assert (one.key, meta(one).type) == (b"ann", "track")


def test_an_empty_batch_is_no_event() -> None:
    assert taken({"batch": []}) == []


def test_what_is_no_event_travels_on_to_be_parked() -> None:
    assert [one.value for one in taken(b'{"batch":[1,"x",null,[],{"a":"\xff"}]}')] == [
        b"1",
        b'"x"',
        b"null",
        b"[]",
        b'{"a":"\xff"}',
    ]


def test_meta_says_what_the_request_knew() -> None:
    (one,) = taken({"batch": [{"messageId": "1"}], "sentAt": "s", "history": "h", "context": {"groupId": 7}}, "page")
    assert meta(one) == RecordMeta("web", NOON.isoformat(), "s", "page", "h", "7")


@pytest.mark.parametrize("context", [5, "web", [], None, {"groupId": {}}, {"groupId": None}])
def test_a_batch_context_that_says_nothing_is_passed_over(context: object) -> None:
    assert meta(taken({"batch": [{"messageId": "1"}], "context": context})[0]).group == ""


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ({"context": {"groupId": "c"}, "groupId": "g", "userId": "u", "anonymousId": "a"}, b"c"),
        ({"groupId": "g", "userId": "u", "anonymousId": "a"}, b"g"),
        ({"userId": 5.0, "anonymousId": "a"}, b"5"),
        ({"userId": None, "anonymousId": "a"}, b"a"),
        ({"userId": "x" * 513}, b""),
        ({}, b""),
        ({"userId": {}}, b""),
        (b'{"userId":"\xff"}', b""),
    ],
)
def test_the_key_is_the_account_else_the_user(event: object, key: bytes) -> None:
    raw = event if isinstance(event, bytes) else msgspec.json.encode(event)
    assert taken(b'{"batch":[%s]}' % raw)[0].key == key


def test_the_batchs_group_is_the_key_before_the_events_own_group_id() -> None:
    events = [{"groupId": "g"}, {"context": {"groupId": "c"}}]
    assert [one.key for one in taken({"batch": events, "context": {"groupId": "b"}})] == [b"b", b"c"]


@pytest.mark.parametrize("named", [{"messageId": "1"}, {"timestamp": "t"}, {"originalTimestamp": 5}])
def test_an_event_that_can_be_told_from_its_like_gets_no_id(named: dict[str, object]) -> None:
    assert meta(taken({"batch": [named]})[0]).id is None


@pytest.mark.parametrize("like", [{"event": "click"}, {"event": "click", "messageId": ""}, {"messageId": None}])
def test_two_events_alike_without_id_and_time_get_two_ids(like: dict[str, object]) -> None:
    ids = [meta(one).id for one in taken({"batch": [like, like]})]
    assert None not in ids
    assert len(set(ids)) == 2
    assert ids == [meta(one).id for one in taken({"batch": [like, like]})]


def test_of_an_event_too_large_to_travel_only_the_start_does() -> None:
    (one,) = taken({"batch": [{"messageId": "1", "userId": "ann", "x": "y" * 2_000_000}]})
    assert (one.key, len(one.value), meta(one).size) == (b"ann", 4096, 2_000_039)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"hello", b'{"batch":[{]}', b'{"writeKey":"\xff"}', b"\x00", b"NaN"]
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert refusal(body) == ("bad_json", 400)


def test_what_a_request_says_of_its_events_is_short_however_long_it_was() -> None:
    """It stands beside each event in the log: a text of five megabytes and a thousand events would be five gigabytes."""
    long = "x" * 100_000
    body = msgspec.json.encode(
        {"batch": [{"userId": "u"}], "sentAt": long, "history": long, "context": {"groupId": long}}
    )
    [record] = raw_records(parse_envelope(body), body, WEB, None, NOON)
    assert len(record.meta) < 2_000
    assert parse_envelope(b'{"batch":[{}],"sentAt":1e300}').sentAt is None


@pytest.mark.parametrize("body", [b"1", b"[]", b"null", b'{"batch":{}}', b'{"batch":1}', b'{"history":5}'])
def test_what_is_not_a_batch_is_refused(body: bytes) -> None:
    assert refusal(body) == ("bad_shape", 400)


@pytest.mark.parametrize("body", [b'{"batch":' + b"[" * 200_000, b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}"])
def test_what_is_nested_without_end_is_refused(body: bytes) -> None:
    assert refusal(body) == ("too_deep", 400)


def test_more_events_than_anybody_sends_are_refused() -> None:
    assert refusal(b'{"batch":[' + b"1," * MAX_EVENTS + b"1]}") == ("too_many", 413)


def test_half_a_character_is_replaced_and_nothing_else() -> None:
    spoilt = rb'{"a":"\ud83d\ude00 \ud83d \ude00 \\ud83d \n \u00e9"}'
    assert replace_lone_surrogates(spoilt) == rb'{"a":"\ud83d\ude00 \ufffd \ufffd \\ud83d \n \u00e9"}'
    assert parse_envelope(replace_lone_surrogates(spoilt)).batch is None
