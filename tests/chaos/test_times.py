"""What the checker believes of the times that are said, without asking the product."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.contracts.usage import SourceKind
from tests.chaos.times import Claim, believable, claim, lies, made_up_history

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def said(at: datetime, sent_at: datetime | None = None, *, history: bool = False, kind: SourceKind = "server") -> Claim:
    return Claim(at, sent_at, history, kind)


@pytest.mark.parametrize("off", [timedelta(), -29 * DAY, timedelta(minutes=5)])
def test_a_live_time_is_believed_within_bounds(off: timedelta) -> None:
    assert believable(said(NOW + off), NOW) == NOW + off


@pytest.mark.parametrize("off", [-31 * DAY, timedelta(minutes=6), 300 * DAY])
def test_beyond_them_it_happened_when_it_was_received(off: timedelta) -> None:
    assert believable(said(NOW + off), NOW) == NOW


def test_only_a_server_tells_history_and_nobody_the_future() -> None:
    old, late = datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC)
    assert believable(said(old, history=True), NOW) == old
    assert believable(said(old, history=True, kind="browser"), NOW) == NOW
    assert believable(said(late, history=True), NOW) == NOW


def test_a_clock_that_is_hours_off_is_corrected_and_one_that_is_days_off_is_not() -> None:
    assert believable(said(NOW + 30 * HOUR, NOW + 31 * HOUR), NOW) == NOW - HOUR
    assert believable(said(NOW - 5 * DAY, NOW - 4 * DAY), NOW) == NOW - 5 * DAY
    assert believable(said(NOW, NOW - 47 * HOUR), NOW) == NOW


def test_where_our_own_clock_was_wrong_it_corrects_nobodys() -> None:
    assert believable(said(NOW - HOUR, NOW - 3 * HOUR), NOW, corrected=True) == NOW - HOUR
    assert believable(said(NOW + 30 * HOUR, NOW + 31 * HOUR), NOW, corrected=True) == NOW


def test_every_lie_can_be_read_and_most_are_not_believed() -> None:
    claims = [claim(one, "browser") for one in [*lies(NOW), *made_up_history()]]
    unbelieved = [one for one in claims if believable(one, NOW) != one.at]
    assert len(unbelieved) >= len(claims) - 1
