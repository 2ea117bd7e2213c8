"""Circuit: an outage of a channel uses nothing up; one attempt at a time asks whether it is over."""

from datetime import UTC, datetime, timedelta

from services.notify.core.channels import OPENS_AFTER, WAITS, Circuit

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def _opened() -> Circuit:
    circuit = Circuit()
    for _ in range(OPENS_AFTER):
        assert circuit.may_try(NOON, 4) == 4
        circuit.found_nobody(NOON)
    return circuit


def test_it_opens_after_some_attempts_in_a_row_and_then_lets_one_through() -> None:
    circuit = _opened()
    assert circuit.may_try(NOON, 4) == 0
    assert circuit.may_try(NOON + WAITS[0], 4) == 1


def test_the_longer_it_lasts_the_longer_nothing_is_tried() -> None:
    circuit, now = _opened(), NOON
    for wait in (*WAITS, WAITS[-1]):
        assert circuit.may_try(now + wait - timedelta(seconds=1), 4) == 0
        now += wait
        assert circuit.may_try(now, 4) == 1
        circuit.found_nobody(now)


def test_an_answer_closes_it_and_says_that_it_was_open() -> None:
    circuit = _opened()
    assert "does not answer since 2026-11-23 12:00 UTC (refused)" in circuit.words("refused")
    assert circuit.answered()
    assert (circuit.may_try(NOON, 4), circuit.words(""), circuit.answered()) == (4, "", False)


def test_one_failure_between_answers_opens_nothing() -> None:
    circuit = Circuit()
    for _ in range(10):
        circuit.found_nobody(NOON)
        assert not circuit.answered()
    assert circuit.may_try(NOON, 4) == 4


def test_a_clock_that_is_set_back_keeps_it_open_no_longer() -> None:
    assert _opened().may_try(NOON - timedelta(days=1), 4) == 1
