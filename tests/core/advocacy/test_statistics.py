"""Intervals: every possible outcome of n answers, weighed by its probability."""

from collections.abc import Callable, Iterator
from math import comb, sqrt

import pytest

from services.advocacy.core.statistics import Estimate, by_segment, net, share, wilson
from services.advocacy.core.survey_kinds import SURVEY_KINDS

SHARES = [(p, d) for p in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95) for d in (0.02, 0.1, 0.25, 0.4) if p + d <= 1.0]
Interval = Callable[[int, int, int], tuple[float, float]]


def outcomes(n: int, p: float, d: float) -> Iterator[tuple[int, int, float]]:
    """Every (promoters, detractors) with its probability."""
    for a in range(n + 1):
        for b in range(n - a + 1):
            rest = max(0.0, 1 - p - d)
            yield a, b, comb(n, a) * comb(n - a, b) * p**a * d**b * rest ** (n - a - b)


def mover(promoters: int, detractors: int, n: int) -> tuple[float, float]:
    estimate = net(promoters, detractors, n)
    assert estimate
    return estimate.low, estimate.high


def wald(promoters: int, detractors: int, n: int) -> tuple[float, float]:
    p, d = promoters / n, detractors / n
    half = 1.96 * sqrt((p + d - (p - d) ** 2) / n)
    return 100 * (p - d - half), 100 * (p - d + half)


def coverage(interval: Interval, n: int, p: float, d: float) -> float:
    """How often the interval holds the truth."""
    true, covered = 100 * (p - d), 0.0
    for promoters, detractors, probability in outcomes(n, p, d):
        low, high = interval(promoters, detractors, n)
        covered += probability * (low - 1e-9 <= true <= high + 1e-9)
    return covered


@pytest.mark.parametrize("n", [10, 30])
def test_the_nps_interval_covers_the_truth_as_often_as_it_says(n: int):
    found = [coverage(mover, n, p, d) for p, d in SHARES]
    assert sum(found) / len(found) >= 0.93
    assert min(found) >= 0.88


def test_the_textbook_interval_fails_where_ours_holds():
    corner = (0.9, 0.02)
    assert coverage(wald, 10, *corner) < 0.70
    assert coverage(mover, 10, *corner) > 0.93


def test_thirty_answers_are_worth_about_twenty_five_points_each_way():
    estimate = net(15, 8, 30)
    assert estimate
    assert estimate.value == pytest.approx(23.3, abs=0.1)
    assert 40 < estimate.high - estimate.low < 62


def test_fewer_than_five_answers_show_nothing():
    assert net(4, 0, 4) is None
    assert share(4, 4) is None
    assert SURVEY_KINDS["nps"].summary([]) is None


def test_the_edges_stay_within_the_scale():
    assert net(5, 0, 5) == Estimate(100.0, pytest.approx(100 * (1 - 0.4345 * sqrt(2)), abs=0.01), 100.0, 5)
    lowest = net(0, 5, 5)
    assert lowest
    assert (lowest.value, lowest.low) == (-100.0, -100.0)


def test_wilson_agrees_with_the_book():
    low, high = wilson(8, 10)
    assert (low, high) == (pytest.approx(0.490, abs=0.001), pytest.approx(0.943, abs=0.001))


def test_nps_and_csat_count_their_own_groups():
    nps = SURVEY_KINDS["nps"].summary([10, 9, 8, 7, 6, 0])
    csat = SURVEY_KINDS["csat"].summary([5, 4, 3, 2, 1])
    assert nps
    assert csat
    assert (nps.value, nps.n, csat.value) == (0.0, 6, 40.0)


def test_segments_are_judged_apart_and_small_ones_hidden():
    answers = [("adoption", 9)] * 5 + [("retention", 2)] * 3
    found = by_segment(answers, SURVEY_KINDS["nps"].summary)
    assert found["adoption"] is not None
    assert found["retention"] is None
