"""The time of an event: the sender's, corrected by the sender's clock error."""

from datetime import datetime, timedelta

import pytest

from tests.core.ingest.make import event_of, reason_of
from tests.make import NOON

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-22T11:00:00Z", NOON - HOUR),
        ("2026-11-22T11:00:00.123456789Z", NOON - HOUR + timedelta(microseconds=123456)),
        ("2026-11-22T13:00:00+02:00", NOON - HOUR),
        ("2026-11-22T11:00:00", NOON - HOUR),
        ("2026-11-22", NOON - 12 * HOUR),
        ((NOON - HOUR).timestamp(), NOON - HOUR),
        (int((NOON - HOUR).timestamp() * 1000), NOON - HOUR),
    ],
)
def test_a_time_is_written_in_many_ways(written: object, read: datetime) -> None:
    event = event_of(timestamp=written)
    assert event.at == read
    assert event.at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "",
        "2026-13-01",
        "2026-11-22T25:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1969-12-31T23:59:59Z",
        -1,
        1e300,
        10**40,
    ],
)
@pytest.mark.parametrize("history", [None, "import"])
def test_what_is_no_time_is_parked(written: object, history: str | None) -> None:
    assert reason_of(timestamp=written, history=history) == "bad_time"


def test_without_a_time_it_happened_when_we_received_it() -> None:
    assert event_of().at == NOON
    assert event_of(history="import").at == NOON


def test_the_original_timestamp_stands_in() -> None:
    assert event_of(originalTimestamp="2026-11-22T11:00:00Z").at == NOON - HOUR
    assert event_of(originalTimestamp="2026-11-22T11:00:00Z", timestamp="2026-11-22T10:00:00Z").at == NOON - 2 * HOUR


@pytest.mark.parametrize("error", [-HOUR, HOUR, timedelta(days=1, hours=23)])
def test_a_wrong_clock_is_corrected_by_what_it_showed_when_it_sent(error: timedelta) -> None:
    shown = (NOON - HOUR + error).isoformat()
    assert event_of(timestamp=shown, sentAt=(NOON + error).isoformat()).at == NOON - HOUR
    assert event_of({"sent_at": (NOON + error).isoformat()}, timestamp=shown).at == NOON - HOUR


def test_the_events_own_sent_at_goes_before_the_batchs() -> None:
    event = event_of(
        {"sent_at": "2026-11-22T06:00:00Z"}, timestamp="2026-11-22T12:30:00Z", sentAt="2026-11-22T13:00:00Z"
    )
    assert event.at == NOON - HOUR / 2


@pytest.mark.parametrize("clock", ["2020-01-01T00:00:00Z", "nonsense", "0001-01-01T00:00:00+14:00", "", 1e300])
def test_a_clock_beyond_belief_corrects_nothing(clock: object) -> None:
    assert event_of(timestamp="2026-11-22T11:00:00Z", sentAt=clock).at == NOON - HOUR
    assert event_of({"sent_at": clock}, timestamp="2026-11-22T11:00:00Z").at == NOON - HOUR


def test_the_future_is_now() -> None:
    assert event_of(timestamp="2026-11-22T12:05:00Z").at == NOON + timedelta(minutes=5)
    assert event_of(timestamp="2026-11-22T12:05:01Z").at == NOON


def test_history_is_trusted() -> None:
    event = event_of(timestamp="2013-02-28T00:00:00Z", sentAt="2026-11-22T13:00:00Z", history="import")
    assert event.at == datetime.fromisoformat("2013-02-28T00:00:00Z")
    assert event_of(timestamp="2027-01-01", history="import").at.year == 2027
