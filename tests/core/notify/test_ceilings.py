"""Ceilings: all plays together send no more in a rolling time than the company said, whatever happens."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.notify.core.budget import Ceiling

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def ceiling(most: int, within: timedelta = HOUR) -> Ceiling:
    return Ceiling("sends", most, within, stops=False)


def test_there_is_room_until_the_maximum_is_reached_and_again_as_the_window_moves():
    two = ceiling(2)
    counts = {two.bucket(NOON): 1, two.bucket(NOON + 10 * MINUTE): 1}
    assert ceiling(3).room_from(counts, NOON + 20 * MINUTE) is None
    assert two.room_from(counts, NOON + 20 * MINUTE) == NOON + 5 * MINUTE + HOUR
    assert two.room_from(counts, NOON + 5 * MINUTE + HOUR) is None


def test_what_fell_into_one_piece_of_time_leaves_it_together():
    assert ceiling(2).room_from({NOON: 5}, NOON + MINUTE) == NOON + 5 * MINUTE + HOUR


@given(
    st.integers(1, 6),
    st.sampled_from([MINUTE, 7 * MINUTE, HOUR, timedelta(days=1), timedelta(days=30)]),
    st.lists(st.integers(0, 4 * 3600), max_size=60),
)
def test_no_window_ever_holds_more_than_the_maximum_and_waiting_until_told_is_enough(
    most: int, within: timedelta, gaps: list[int]
):
    limit, counts, sent, now = ceiling(most, within), Counter[datetime](), list[datetime](), NOON
    for gap in gaps:
        now += timedelta(seconds=gap) * (within / HOUR)
        until = limit.room_from(counts, now)
        if until is not None:
            assert now < until <= now + within + limit.piece
            assert limit.room_from(counts, until) is None
            continue
        counts[limit.bucket(now)] += 1
        sent.append(now)
        assert sum(at > now - within for at in sent) <= most
