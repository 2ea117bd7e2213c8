"""Quiet hours: the next allowed minute, also when the clocks change."""

from datetime import UTC, datetime, time

import pytest

from services.notify.core.budget import QuietHours, allowed_from

NIGHT = QuietHours(time(20), time(8), weekends=True)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "zone", "allowed"),
    [
        ("2025-03-05T12:00", "UTC", "2025-03-05T12:00"),
        ("2025-03-05T20:00", "UTC", "2025-03-06T08:00"),
        ("2025-03-05T07:59", "UTC", "2025-03-05T08:00"),
        ("2025-03-07T20:30", "UTC", "2025-03-10T08:00"),
        ("2025-03-08T12:00", "UTC", "2025-03-10T08:00"),
        ("2025-03-05T12:00", "Asia/Tokyo", "2025-03-05T23:00"),
        ("2025-03-05T12:00", None, "2025-03-05T12:00"),
        ("2025-03-05T12:00", "Not/AZone", "2025-03-05T12:00"),
        ("2025-03-05T12:00", "../../etc/passwd", "2025-03-05T12:00"),
    ],
)
def test_nights_and_weekends_wait_for_the_morning_of_the_next_working_day(moment: str, zone: str | None, allowed: str):
    assert allowed_from(utc(moment), zone, NIGHT, "UTC") == utc(allowed)


def test_a_morning_after_the_clocks_changed_is_still_eight_on_the_wall():
    friday_night = utc("2025-03-28T21:00")  # Berlin goes from +1 to +2 on the 30th
    assert allowed_from(friday_night, "Europe/Berlin", NIGHT, "UTC") == utc("2025-03-31T06:00")


def test_an_opening_in_the_hour_that_is_skipped_becomes_the_next_minute_that_exists():
    early = QuietHours(time(20), time(2, 30), weekends=False)
    night = utc("2025-03-30T00:15")  # 01:15 in Berlin; from 02:00 the clock jumps to 03:00
    assert allowed_from(night, "Europe/Berlin", early, "UTC") == utc("2025-03-30T01:00")


def test_an_opening_in_the_hour_that_comes_twice_is_its_first():
    early = QuietHours(time(20), time(2, 30), weekends=False)
    night = utc("2025-10-25T23:15")  # 01:15 in Berlin; 02:30 comes at 00:30 and at 01:30 UTC
    assert allowed_from(night, "Europe/Berlin", early, "UTC") == utc("2025-10-26T00:30")


def test_without_a_night_only_weekends_wait():
    weekends = QuietHours(time(0), time(0), weekends=True)
    assert allowed_from(utc("2025-03-05T23:00"), "UTC", weekends, "UTC") == utc("2025-03-05T23:00")
    assert allowed_from(utc("2025-03-08T23:00"), "UTC", weekends, "UTC") == utc("2025-03-10T00:00")
