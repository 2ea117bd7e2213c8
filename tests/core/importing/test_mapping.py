"""History files: every event is kept, gets the same message id each time, and a marker closes each account."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.contracts.usage import HISTORY_ENDED
from waymark.demo import company
from waymark.importing import HistoryRecord, RecordMapper, SkippedLine, Unreadable, in_order, open_history, order_of

Write = Callable[..., Path]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def event(account: str = "a", day: int = 1, **more: Any) -> dict[str, Any]:
    at = f"2026-03-{day:02}T00:00:00Z"
    return {"account_id": account, "event": "used", "timestamp": at, "properties": {}} | more


def segment(day: int = 1, **more: Any) -> dict[str, Any]:
    base = {"type": "track", "event": "Used", "userId": "u1", "timestamp": f"2026-03-{day:02}T00:00:00Z"}
    return base | {"context": {"groupId": "a"}} | more


def read(path: Path, live: bool | None = None, now: datetime = NOW) -> tuple[RecordMapper, list[HistoryRecord]]:
    with open_history(path) as file:
        mapper = RecordMapper(file.import_id, now, live)
        return mapper, list(mapper.records(in_order(file, order_of(file))))


def events(path: Path) -> list[dict[str, Any]]:
    return [record.body for record in read(path)[1] if record.body.get("event") != HISTORY_ENDED]


def markers(path: Path, live: bool | None = None, now: datetime = NOW) -> list[dict[str, Any]]:
    return [record.body for record in read(path, live, now)[1] if record.body.get("event") == HISTORY_ENDED]


def ids(path: Path) -> list[str]:
    return [record.body["messageId"] for record in read(path)[1]]


def test_a_canonical_line_becomes_a_track_record(write: Write):
    line = event("L1", subscription_id="AAA", properties={"clicks": 3})
    [body] = events(write(line))
    assert body.pop("messageId")
    assert body == {
        "type": "track",
        "event": "used",
        "timestamp": "2026-03-01T00:00:00Z",
        "context": {"groupId": "L1"},
        "properties": {"clicks": 3, "subscription_id": "AAA"},
    }


def test_a_segment_line_passes_unchanged(write: Write):
    line = segment(messageId="m1", anonymousId=None, properties={"x": [1, {"y": None}]}, extra="kept")
    assert events(write(line)) == [line]


def test_both_shapes_may_stand_in_one_file(write: Write):
    assert [body["event"] for body in events(write(segment(), event(day=2)))] == ["Used", "used"]


def test_a_gzip_file_is_known_by_its_first_bytes(write: Write):
    packed = write(event(), event(day=2), name="mapper.gz")
    renamed = packed.rename(packed.with_name("plain.ndjson"))
    assert len(events(renamed)) == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    missing = tmp_path / "none.ndjson"
    with pytest.raises(Unreadable, match=f"there is no file {missing} to import"):
        read(missing)


def test_a_folder_is_no_file_to_import(tmp_path: Path):
    with pytest.raises(Unreadable, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_standard_input_is_read_for_a_dash():
    with open_history("-", io.BytesIO(msgspec.json.encode(event()) + b"\n")) as file:
        mapper = RecordMapper(file.import_id, NOW)
        assert len(list(mapper.records(file.lines()))) == 2


def test_standard_input_and_the_file_are_the_same_import(write: Write):
    path = write(event())
    with open_history("-", io.BytesIO(path.read_bytes())) as piped, open_history(path) as file:
        assert piped.import_id == file.import_id


def test_the_import_id_follows_the_content_not_the_name(write: Write):
    one, same, other = write(event(), name="1"), write(event(), name="2"), write(event(day=2), name="3")
    with open_history(one) as first, open_history(same) as second, open_history(other) as third:
        assert first.import_id == second.import_id != third.import_id


def test_a_second_reading_gives_every_record_its_id_again(write: Write):
    path = write(*[event(day=day) for day in (1, 1, 2, 1, 1, 3)], segment(3))
    assert ids(path) == ids(path)


def test_equal_lines_stay_separate_events(write: Write):
    assert len(set(ids(write(event(), event(), event())))) == 4  # three events and the marker


def test_equal_lines_stay_separate_events_when_others_stand_between_them(write: Write):
    path = write(event("a"), event("b"), event("a"), event("a", 2), event("a"), event("a"), event("b"))
    assert len(set(ids(path))) == 7 + 2


def test_a_longer_file_keeps_the_ids_of_the_lines_it_had(write: Write):
    short = write(event(), event(), event(day=2), name="short")
    long = write(event(), event(), event(day=2), event(day=3), name="long")
    assert [body["messageId"] for body in events(long)][:3] == [body["messageId"] for body in events(short)]


def test_a_repeat_gives_every_line_its_place_again_also_when_the_future_has_come(write: Write):
    path = write(event(), "no line", event(day=2), event("b", 20, timestamp="2026-12-24T00:00:00Z"))
    today, later = read(path)[1], read(path, now=NOW + timedelta(days=60))[1]
    assert [(one.position, one.series[:10]) for one in today] == [(1, ""), (2, ""), (1, "2026-03-02")]
    assert [(one.position, one.series[:10]) for one in later][:3] == [(1, ""), (2, ""), (3, "")]
    assert {one.series[:10] for one in later[3:]} == {"2026-12-24"}


def test_an_id_the_line_brings_is_kept_and_an_empty_one_is_not(write: Write):
    kept, empty = events(write(segment(messageId="mine"), segment(messageId=None)))
    assert kept["messageId"] == "mine"
    assert empty["messageId"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{not json", "not a JSON object"),
        ("[1, 2]", "not a JSON object"),
        ({"event": "Used", "timestamp": "2026-03-01T00:00:00Z"}, "type is None"),
        ({"type": "sneeze"}, "type is 'sneeze'"),
        ({"type": ["track"]}, "type is ['track']"),
        (segment(timestamp="0001-01-01T00:00:00+05:00"), "not ISO 8601"),
        (segment(event=""), "needs an event name"),
        (segment(timestamp=None), "no timestamp"),
        (segment(timestamp="yesterday"), "not ISO 8601"),
        (segment(timestamp="2099-01-01T00:00:00Z"), "dated in the future"),
        (event(properties=[1]), "properties is not an object"),
        (segment(properties={"x": "y" * 2_000_000}), "longer than"),
    ],
)
def test_a_bad_line_is_noted_with_its_number_and_the_rest_is_read(write: Write, line: Any, reason: str):
    mapper, records = read(write(event(), line, event(day=2)))
    [(number, said)] = mapper.skipped
    assert number == 2
    assert reason in said
    assert len(records) == 2 + 1
    assert mapper.lines == 3


def test_blank_lines_are_no_lines(write: Write):
    mapper, records = read(write("", event(), "  ", ""))
    assert mapper.skipped == []
    assert len(records) == 2


def test_line_numbers_count_blank_lines(write: Write):
    assert read(write("", event(), "", "x"))[0].skipped == [
        SkippedLine(4, "not a JSON object: JSON is malformed: invalid character (byte 0)")
    ]


def test_a_gzip_file_that_was_cut_off_stops_the_import_before_the_markers(write: Write):
    path = write(*[event(day=day) for day in range(1, 29)] * 50, name="cut.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Unreadable, match="after line"):
        read(path)


def test_every_account_gets_one_marker_at_the_files_last_moment(write: Write):
    ends = markers(write(event("a"), event("b", 5), event("a", 3)), live=False)
    assert [end["context"]["groupId"] for end in ends] == ["a", "b"]
    assert {end["timestamp"] for end in ends} == {"2026-03-05T00:00:00+00:00"}
    assert len({end["messageId"] for end in ends}) == 2


def test_an_account_known_only_from_a_group_call_gets_its_marker(write: Write):
    told = write(segment(type="group", context={}, groupId="g1"), segment(2, context={}))
    assert [end["context"]["groupId"] for end in markers(told)] == ["g1"]


def test_a_posthog_group_counts_as_the_account(write: Write):
    told = write(segment(context=None, properties={"$groups": {"company": "acme"}}))
    assert [end["context"]["groupId"] for end in markers(told)] == ["acme"]


def test_an_account_that_is_no_name_is_no_account(write: Write):
    assert markers(write(segment(context={"groupId": ["a"]}), segment(2, context={"groupId": ""}))) == []


def test_an_empty_file_has_no_markers(write: Write):
    assert markers(write()) == []


@pytest.mark.parametrize(("days", "live"), [(0, True), (6, True), (7, False), (300, False)])
def test_a_file_that_ended_less_than_seven_days_ago_goes_live(write: Write, days: int, live: bool):
    now = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=days)
    assert [end["properties"] for end in markers(write(event()), now=now)] == [{"live": live}]


@pytest.mark.parametrize("live", [True, False])
def test_whether_it_goes_live_can_be_said(write: Write, live: bool):
    assert markers(write(event()), live)[0]["properties"] == {"live": live}


def test_who_goes_live_goes_live_now_under_the_marker_that_a_repeat_has_too(write: Write):
    told = write(event())
    first, later = (markers(told, True, NOW + timedelta(days=days))[0] for days in (0, 1))
    assert [one["timestamp"] for one in (first, later)] == [(NOW + timedelta(days=days)).isoformat() for days in (0, 1)]
    assert first["messageId"] == later["messageId"]


def test_the_demo_company_can_be_imported_as_it_is_told():
    told = company(7, NOW.date())
    mapper = RecordMapper("demo", NOW)
    records = list(mapper.from_bodies(next(told) for _ in range(5000)))
    assert len(records) == 5000 + len(mapper.accounts)
    assert mapper.skipped == []


def test_the_real_sample_is_101_288_records_of_383_accounts_with_unique_ids(oulad: Path):
    mapper, records = read(oulad)
    assert (mapper.lines, len(mapper.accounts), mapper.skipped) == (101_288, 383, [])
    assert len({record.body["messageId"] for record in records}) == len(records) == 101_288 + 383
    assert not mapper.live
