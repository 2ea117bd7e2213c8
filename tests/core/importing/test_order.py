"""A history file is sent in the order of its times, whatever its own order, and that is said."""

import io
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waymark.importing import RecordMapper, Unreadable, Unsorted, in_order, open_history, order_of
from waymark.importing.order import sorted_by_time

Write = Callable[..., Path]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
START = datetime(2026, 3, 1, tzinfo=UTC)


def event(account: str, hours: int, **more: Any) -> dict[str, Any]:
    at = (START + timedelta(hours=hours)).isoformat()
    return {"account_id": account, "event": "used", "timestamp": at, "properties": more}


def history() -> list[dict[str, Any]]:
    """Three accounts that take turns; every fourth time is shared by two."""
    return [event("abc"[n % 3], n - n % 4 // 3, n=n) for n in range(40)]


def grouped(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(lines, key=lambda line: str(line["account_id"]))


def sent(path: Path) -> list[dict[str, Any]]:
    with open_history(path) as file:
        return [record.body for record in RecordMapper("i", NOW).records(in_order(file, order_of(file)))]


def times(bodies: list[dict[str, Any]]) -> list[str]:
    return [body["timestamp"] for body in bodies]


def of(bodies: list[dict[str, Any]], account: str) -> list[dict[str, Any]]:
    """Its events; markers have the id of their file's import."""
    return [body for body in bodies if body["context"]["groupId"] == account and body["event"] == "used"]


def unsorted(path: Path) -> Unsorted | None:
    with open_history(path) as file:
        return order_of(file).unsorted


def test_one_file_sorted_and_grouped_by_account_is_sent_alike_with_the_same_ids(write: Write):
    told, again = sent(write(*history(), name="sorted")), sent(write(*grouped(history()), name="grouped.gz"))
    assert len(told) == 43
    assert times(again) == times(told) == sorted(times(told))
    for account in "abc":
        assert of(again, account) == of(told, account), "with the same ids"


def test_lines_of_one_time_keep_the_order_of_the_file(write: Write):
    path = write(event("a", 2, n=0), event("a", 1, n=1), event("a", 1, n=2), event("a", 1, n=3))
    assert [body["properties"]["n"] for body in sent(path)[:4]] == [1, 2, 3, 0]


def test_a_file_in_order_is_left_as_it_is(write: Write):
    assert unsorted(write(event("a", 5), event("b", 5), event("a", 6))) is None


def test_what_is_out_of_order_is_counted_and_its_first_line_named(write: Write):
    assert unsorted(write("", event("a", 5), event("b", 1), event("a", 6), "broken", event("b", 2))) == Unsorted(3, 2)


def test_times_are_compared_and_not_their_spelling(write: Write):
    late = {**event("a", 0), "timestamp": "2026-03-01T10:00:00+05:00"}
    assert unsorted(write(event("a", 6), late)) == Unsorted(2, 1)


def test_what_cannot_be_read_is_listed_with_its_own_number(write: Write):
    path = write(event("a", 9), "broken", event("a", 1), {"event": "used", "account_id": "a"})
    with open_history(path) as file:
        mapper = RecordMapper("i", NOW)
        assert len(list(mapper.records(in_order(file, order_of(file))))) == 3
    assert sorted(skipped.number for skipped in mapper.skipped) == [2, 4]


def test_progress_grows_to_the_size_of_the_file(write: Write):
    path = write(*grouped(history()), name="history.gz")
    with open_history(path) as file:
        told = [line.bytes_read for line in in_order(file, order_of(file))]
    assert told == sorted(told)
    assert told[-1] == path.stat().st_size


def test_standard_input_is_sorted_too(write: Write):
    content = write(*grouped(history())).read_bytes()
    with open_history("-", io.BytesIO(content)) as file:
        numbers = [line.number for line in in_order(file, order_of(file))]
    assert sorted(numbers) == list(range(1, 41))
    assert numbers != sorted(numbers)


def test_a_damaged_file_stops_before_anything_is_sent(write: Write):
    path = write(*history() * 50, name="cut.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with open_history(path) as file, pytest.raises(Unreadable, match="after line"):
        order_of(file)


@settings(max_examples=60, deadline=None)
@given(times=st.lists(st.integers(-5, 5), max_size=60), piece=st.integers(1, 50), most=st.integers(2, 5))
def test_pieces_that_are_merged_are_one_sorted_whole(times: list[int], piece: int, most: int):
    lines = [(when, number, b"x" * (number % 7)) for number, when in enumerate(times)]
    assert list(sorted_by_time(lines, piece, most)) == sorted(lines)


def test_sorting_holds_a_piece_of_the_file_and_not_the_file():
    lines = ((number * 7919 % 20_011, number, b"y" * (150 + number % 50)) for number in range(20_000))
    tracemalloc.start()
    last = max(sorted_by_time(lines, piece=200_000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert last[0] > 19_000
    assert most < 2_000_000, "of 3.5 MB of lines, which are 6 MB to Python"


def test_without_room_for_temporary_files_it_says_what_to_do(tmp_path: Path):
    lines = ((-number, number, b"x") for number in range(9))
    with pytest.raises(Unreadable, match="set TMPDIR"):
        list(sorted_by_time(lines, piece=2, folder=tmp_path / "gone"))


def test_a_line_is_the_same_after_sorting(write: Write):
    lines = grouped(history())
    bodies = sent(write(*lines))
    assert sorted(msgspec.json.encode(body["properties"]) for body in bodies[:40]) == sorted(
        msgspec.json.encode(line["properties"]) for line in lines
    )
