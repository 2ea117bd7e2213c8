"""How many records may fail before the reader stops?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.service.dead_letters import DeadLetterLimit, DeadLetterLimitExceeded


def test_forty_nine_in_a_row_may_fail_and_fifty_may_not() -> None:
    limit = DeadLetterLimit().plus(range(100, 149))
    with pytest.raises(DeadLetterLimitExceeded):
        limit.plus([149])


def test_one_that_succeeds_between_begins_the_row_anew() -> None:
    DeadLetterLimit().plus([*range(100, 149), 150])


def test_fifty_of_the_last_thousand_may_fail_and_fifty_one_may_not() -> None:
    limit = DeadLetterLimit().plus(range(0, 1000, 20))
    with pytest.raises(DeadLetterLimitExceeded):
        limit.plus([999])
    limit.plus([1000])


def test_five_in_a_hundred_may_fail_for_ever() -> None:
    limit = DeadLetterLimit()
    for offset in range(0, 100_000, 20):
        limit = limit.plus([offset])


@given(st.sets(st.integers(0, 3000), max_size=200))
def test_how_they_are_cut_into_batches_and_how_often_they_are_tried_makes_no_difference(offsets: set[int]) -> None:
    def outcome(*batches: list[int]) -> DeadLetterLimit | None:
        limit = DeadLetterLimit()
        try:
            for batch in batches:
                limit = limit.plus(batch)
        except DeadLetterLimitExceeded:
            return None
        return limit

    every = sorted(offsets)
    half = len(every) // 2
    assert outcome(every) == outcome(every[:half], every[half:]) == outcome(every[:half], every[:half], every)
