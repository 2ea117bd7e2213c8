"""The time of an event: the sender's, corrected by the sender's clock error."""

from datetime import datetime, timedelta

import msgspec
import pytest

from services.ingest.core.canonical import TimeBounds, canonical_event, with_believable_time
from services.ingest.core.segment import id_text
from shared.bus.protocol import Record
from tests.core.ingest.make import TRACK, event_of, reason_of, record
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


@pytest.mark.parametrize("written", ["yesterday", "2026-13-01", "2026-11-22T25:00:00Z", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize("history", [None, "import"])
def test_a_text_that_is_no_time_is_parked(written: object, history: str | None) -> None:
    assert reason_of(timestamp=written, history=history) == "bad_time"


@pytest.mark.parametrize("written", ["", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z", -1, 1e300])
def test_an_import_is_believed_since_1970(written: object) -> None:
    assert reason_of(timestamp=written, history="import") == "bad_time"


@pytest.mark.parametrize(
    "written",
    [
        0,
        -1,
        "0",
        "-1",
        0.0,
        1e300,
        10**40,
        "",
        "1970-01-01T00:00:07Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00",
        "2199-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-10-20T11:59:59Z",
    ],
)
@pytest.mark.parametrize("sent_at", [None, NOON.isoformat(), (NOON - HOUR).isoformat()])
def test_a_device_without_a_clock_tells_the_time_of_receipt(written: object, sent_at: str | None) -> None:
    event = event_of(timestamp=written, sentAt=sent_at)
    assert event.at == event.received_at == NOON
    assert event.claimed_at == id_text(written)[:64]  # type: ignore[arg-type]


def test_a_phone_may_be_offline_for_thirty_days() -> None:
    event = event_of(timestamp=(NOON - timedelta(days=30)).isoformat())
    assert (event.at, event.claimed_at) == (NOON - timedelta(days=30), None)
    assert event_of(timestamp=(NOON - timedelta(days=30, seconds=1)).isoformat()).at == NOON


def test_bounds_are_settings() -> None:
    bounds = TimeBounds(timedelta(days=1), timedelta())
    for late, believed in ((NOON - timedelta(hours=23), True), (NOON - timedelta(hours=25), False)):
        event = canonical_event(record(msgspec.json.encode(TRACK | {"timestamp": late.isoformat()})), bounds)
        assert (event.at == late) is believed


@pytest.mark.parametrize(
    ("own", "back", "ahead"),
    [
        ({"days_back": 90}, timedelta(days=90), timedelta(minutes=5)),
        ({"days_back": 1, "minutes_ahead": 0}, timedelta(days=1), timedelta()),
        ({"minutes_ahead": 60, "import_days_back": 9}, timedelta(days=30), timedelta(hours=1)),
        ({"trust": "import", "import_days_back": 400}, timedelta(days=400), timedelta(minutes=5)),
        ({"history": "import", "import_days_back": 2, "days_back": 1}, timedelta(days=2), timedelta(minutes=5)),
    ],
)
def test_a_source_may_have_bounds_of_its_own(own: dict[str, object], back: timedelta, ahead: timedelta) -> None:
    second = timedelta(seconds=1)
    for at in (NOON - back, NOON + ahead):
        assert (event_of(own, timestamp=at.isoformat()).at) == at
    for at in (NOON - back - second, NOON + ahead + second):
        event = event_of(own, timestamp=at.isoformat())
        assert (event.at, event.claimed_at) == (NOON, at.isoformat())


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


@pytest.mark.parametrize("written", ["2026-11-22T12:05:01Z", "2199-01-01", "2300-01-01T00:00:00Z"])
@pytest.mark.parametrize("meta", [{"history": "import"}, {"trust": "import"}])
def test_nobody_tells_the_future(written: str, meta: dict[str, str]) -> None:
    event = event_of(meta, timestamp=written)
    assert (event.at, event.claimed_at, event.trust) == (NOON, written, "import")


def test_an_import_key_tells_the_past_without_a_mark() -> None:
    event = event_of({"trust": "import"}, timestamp="2013-02-28T00:00:00Z")
    assert (event.at.year, event.claimed_at) == (2013, None)


def test_a_browser_cannot_mark_history_to_be_believed() -> None:
    event = event_of({"trust": "browser"}, timestamp="2013-02-28T00:00:00Z", history="import")
    assert (event.at, event.claimed_at) == (NOON, "2013-02-28T00:00:00Z")


@pytest.mark.parametrize("timestamp", [0, -1, 2**80, -(2**80), 4_102_444_800_000])
def test_a_time_of_the_log_that_no_clock_shows_is_the_time_of_reading(timestamp: int) -> None:
    raw = Record(7, -1, timestamp, b"", msgspec.json.encode(TRACK), b"")
    mended = with_believable_time(raw, NOON)
    event = canonical_event(mended)
    assert event.at == event.received_at == NOON
    later = NOON + timedelta(days=1)
    assert canonical_event(with_believable_time(mended, later)) == event, "parked and redriven it is the same"


def test_a_log_that_was_read_late_is_believed() -> None:
    raw = Record(7, -1, int((NOON - timedelta(days=7)).timestamp() * 1000), b"", msgspec.json.encode(TRACK), b"")
    assert canonical_event(with_believable_time(raw, NOON)).at == NOON - timedelta(days=7)


def test_what_a_server_stamped_whose_clock_was_ahead_was_received_when_it_was_read() -> None:
    ahead = NOON + timedelta(days=30)
    raw = record(msgspec.json.encode(TRACK), received_at=ahead.isoformat(), sent_at=(NOON - HOUR).isoformat())
    event = canonical_event(with_believable_time(raw, NOON))
    assert (event.at, event.received_at, event.stamped_at) == (NOON, NOON, ahead)
    again = canonical_event(with_believable_time(event.record, NOON + HOUR))
    assert again == event, "parked and redriven it is the same"


def test_what_its_sender_said_then_is_believed_as_of_any_other_receipt() -> None:
    ahead, said = NOON + timedelta(days=30), (NOON - HOUR).isoformat()
    value = msgspec.json.encode(TRACK | {"timestamp": said, "sentAt": said})
    event = canonical_event(with_believable_time(record(value, received_at=ahead.isoformat()), NOON))
    assert (event.at, event.claimed_at) == (NOON - HOUR, None), "our clock says nothing of the sender's"
    as_wrong = msgspec.json.encode(TRACK | {"timestamp": ahead.isoformat()})
    event = canonical_event(with_believable_time(record(as_wrong, received_at=ahead.isoformat()), NOON))
    assert (event.at, event.claimed_at) == (NOON, ahead.isoformat())


def test_a_receipt_that_can_be_is_left_as_it_is() -> None:
    for ago in (timedelta(days=90), timedelta(), timedelta(minutes=-5)):
        raw = record(msgspec.json.encode(TRACK), received_at=(NOON - ago).isoformat())
        assert with_believable_time(raw, NOON) is raw
