"""How many records may fail before the reader stops?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.service.tolerance import Failed, TooMany


def test_forty_nine_in_a_row_may_fail_and_fifty_may_not() -> None:
    failed = Failed().plus(range(100, 149))
    with pytest.raises(TooMany):
        failed.plus([149])


def test_one_that_succeeds_between_begins_the_row_anew() -> None:
    Failed().plus([*range(100, 149), 150])


def test_fifty_of_the_last_thousand_may_fail_and_fifty_one_may_not() -> None:
    failed = Failed().plus(range(0, 1000, 20))
    with pytest.raises(TooMany):
        failed.plus([999])
    failed.plus([1000])


def test_five_in_a_hundred_may_fail_for_ever() -> None:
    failed = Failed()
    for offset in range(0, 100_000, 20):
        failed = failed.plus([offset])


@given(st.sets(st.integers(0, 3000), max_size=200))
def test_how_they_are_cut_into_batches_and_how_often_they_are_tried_makes_no_difference(offsets: set[int]) -> None:
    def outcome(*batches: list[int]) -> Failed | None:
        failed = Failed()
        try:
            for batch in batches:
                failed = failed.plus(batch)
        except TooMany:
            return None
        return failed

    every = sorted(offsets)
    half = len(every) // 2
    assert outcome(every) == outcome(every[:half], every[half:]) == outcome(every[:half], every[:half], every)
