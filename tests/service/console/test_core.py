"""The console's pure functions over the services' answers."""

from typing import get_args

import pytest

from services.advocacy.core.ledger import EXPENSE, ledger_account
from services.console.core import formatting, why_not
from services.console.core.account_page import caps, measures, nearest_first, stretches
from services.console.core.diagram import drawing
from services.console.core.metric_words import MetricWords
from services.console.core.plays import play_rows
from services.console.core.portfolio import portfolio, reason_beside_name
from services.console.http.auth import is_same_origin, safe_next
from services.notify.core.delivery import Reason
from shared.contracts.advocacy import RewardStatus


def test_stages_become_stretches_of_one_line_up_to_the_accounts_clock():
    moves = [
        {"seq": 3, "at": "2026-01-11T00:00:00Z", "stage": "adoption"},
        {"seq": 1, "at": "2026-01-01T00:00:00Z", "stage": "onboarding"},
    ]
    first, second = stretches(moves, "2026-01-31T00:00:00Z")
    assert (first.stage, first.days, first.left, first.width) == ("onboarding", 10, 0.0, 33.33)
    assert (second.stage, second.days, second.until) == ("adoption", 20, None)


def test_two_moves_of_one_moment_stay_in_their_order():
    moves = [{"seq": number, "at": "2026-01-01T00:00:00Z", "stage": stage} for number, stage in ((2, "b"), (3, "a"))]
    assert [one.stage for one in stretches(moves, None)] == ["b", "a"]


def test_an_account_just_seen_has_a_line_too():
    [only] = stretches([{"at": "2026-01-01T00:00:00Z", "stage": "onboarding"}], None)
    assert (only.days, only.width) == (0, 0.0)
    assert stretches([{"at": "2026-01-01", "stage": "no time zone"}], None) == []


def test_the_counts_are_lifecycles_with_bands_in_their_order_and_the_most_frequent_flag_first():
    counts = {"accounts": 20_000, "bands": {"red": 3, "green": 1}, "flags": {"stalled": 1, "at_risk": 4, "new": "?"}}
    found = portfolio(counts, [{"id": "low"}], [])
    assert found.accounts == 20_000
    assert found.flags == [("at_risk", 4), ("stalled", 1)]
    assert found.bands == [("green", 1), ("yellow", 0), ("red", 3), ("unknown", 0)]


def test_a_portfolio_that_could_not_be_had_counts_nothing():
    assert portfolio({}, [], []).accounts == 0


@pytest.mark.parametrize(
    ("flag", "reason", "said"),
    [
        ("at_risk", "At risk: no core use for 14 days.", "No core use for 14 days."),
        ("at_risk", "At risk: NPS answer is 3.", "NPS answer is 3."),
        ("stalled", "Onboarding stands still: it waits.", "Onboarding stands still: it waits."),
        ("renewal_window", "Renewal in 90 days.", "Renewal in 90 days."),
        ("at_risk", "At risk:", "At risk:"),
        ("quiet", None, ""),
    ],
)
def test_beside_a_flags_name_its_reason_does_not_say_the_name_again(flag: str, reason: str | None, said: str):
    assert reason_beside_name({"flag": flag, "reason": reason}) == said


def test_every_reason_for_not_sending_has_words_of_a_person():
    for reason in get_args(Reason):
        said = why_not.why_not(reason)
        assert "_" not in said
        assert said != formatting.words(reason) or reason == "unsubscribed", "words of its own"


METRICS = MetricWords(
    {"nps": {"label": "NPS answer"}, "days_since_core_use": {"label": "time since core use", "unit": "days"}}
)


@pytest.mark.parametrize(
    ("reason", "told", "said"),
    [
        ("stopped", "when days_since_core_use <= 3", "time since core use at most 3 days"),
        ("stopped", "flag_cleared at_risk", "no longer at risk"),
        ("stopped", "milestone first_value", "first value was reached"),
        ("stopped", "stage left", "it left the stage"),
        ("stopped", "fact invoice_paid", "invoice paid"),
        ("stopped", "same cause: gone_quiet", "answered by gone quiet"),
        ("guard", "nps <= 6 (nps = 3.0)", "NPS answer at most 6 (NPS answer is 3)"),
        ("guard", "at_risk (at_risk = True)", "at risk"),
        ("guard", 'band == "green" (band = yellow)', "band is green (band is yellow)"),
        ("guard", "nps <= 6 || days_since_core_use >= 9 (nps = unknown, days_since_core_use = 21.0)",
         "NPS answer at most 6 or time since core use at least 9 (NPS answer is unknown, time since core use is 21 days)"),
        ("urgent_ticket", "open_urgent_tickets >= 1", "open urgent tickets at least 1"),
        ("budget", "person_week", "person week"),
        ("refused", "550 no such user", "550 no such user"),
        ("stopped", None, ""),
    ],
)  # fmt: skip
def test_what_spoke_against_a_message_reads_as_a_sentence(reason: str, told: str | None, said: str):
    assert why_not.detail(reason, told, METRICS) == said


def test_accounts_of_the_ledger_read_as_what_they_are():
    for account in (*map(ledger_account, get_args(RewardStatus)), EXPENSE):
        said = formatting.ledger_account(account)
        assert not {":", "_"} & {*said}, account
        assert said != formatting.words(account)


def test_a_play_tells_whom_it_reached_and_what_was_not_sent_and_why():
    play = {
        "name": "welcome",
        "counts": {"sent": 3, "opened": 1, "previewed": 2, "skipped": 5, "failed": 1, "odd": "x"},
        "reasons": {"budget": 2, "holdout": 4},
    }
    [found] = play_rows([play])
    assert (found.reached, found.waiting, found.not_sent) == (4, 2, 6)
    assert found.reasons == [("holdout", 4), ("budget", 2)]
    assert [formatting.after(seconds) for seconds in (0, 7200, 86400, 216000)] == [
        "at once",
        "after 2 hours",
        "after 1 day",
        "after 2.5 days",
    ]


def test_health_reads_as_measures_by_dimension_and_the_caps_that_bind():
    clauses = [
        {
            "kind": "measure",
            "dimension": "usage",
            "measure": "level",
            "metric": "active_days_28d",
            "text": "usage.level",
            "values": {"active_days_28d": 8, "points": 85, "weight": 0.4},
            "satisfied": True,
        },
        {
            "kind": "measure",
            "dimension": "usage",
            "measure": "trend",
            "metric": "core_trend",
            "text": "usage.trend",
            "values": {"core_trend": None, "points": None, "weight": 0.3},
            "satisfied": False,
        },
        {
            "kind": "cap",
            "cap": "quiet",
            "text": "cap quiet",
            "values": {"days_since_core_use": 30},
            "satisfied": True,
            "threshold": 60,
        },
        {
            "kind": "cap",
            "cap": "champion_left",
            "text": "cap champion_left",
            "values": {},
            "satisfied": False,
            "threshold": 70,
        },
    ]
    [(name, (level, trend))] = measures(clauses)
    assert (name, level.name, level.metric, level.points, trend.counted) == (
        "usage",
        "level",
        "active_days_28d",
        85,
        False,
    )
    assert [(cap.name, cap.max, cap.ahead) for cap in caps(clauses, 58.0)] == [("quiet", 60, False)]
    assert [cap.ahead for cap in caps(clauses, 95.2)] == [True], "the score is of last midnight"


def test_the_nearest_way_out_comes_first():
    far = {"to": "far", "clauses": [{"satisfied": False}]}
    near = {"to": "near", "clauses": [{"satisfied": True}, {"satisfied": False}]}
    there = {"to": "there", "holds": True, "clauses": [{"satisfied": True}, {"satisfied": False}, {"satisfied": False}]}
    assert [edge["to"] for edge in nearest_first([far, near, there])] == ["there", "near", "far"]


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://here"}, False),
        ({"origin": "http://here", "host": "here"}, True),
        ({"origin": "https://public.example", "host": "inside:8000"}, True),
        ({"origin": "http://evil.example", "host": "here"}, False),
        ({"origin": "null", "host": "here"}, False),
        ({"host": "here"}, False),
        ({}, False),
    ],
)
def test_only_a_form_of_our_own_counts(headers: dict[str, str], counts: bool):
    assert is_same_origin(headers, "https://public.example") is counts


def test_one_goes_on_to_our_own_pages_only():
    assert safe_next("/console/accounts/a%2Fb?flag=x") == "/console/accounts/a%2Fb?flag=x"
    for away in ("//x", "https://x", "/console", "/console/\r\nx", "/console/\\x", "/console/" + "x" * 2000):
        assert safe_next(away) == "/console/"


def test_decisions_and_values_read_as_words():
    moved = {"kind": "stage_changed", "previous": "value_realization", "stage": "retention"}
    assert formatting.decision(moved) == "value realization → retention"
    assert formatting.decision({"kind": "flag_changed", "flag": "at_risk", "raised": True}) == "at risk raised"
    assert formatting.decision({"kind": "something_new"}) == "something new"
    corrected = {
        "kind": "decision_corrected",
        "event": {"name": "invoice_failed", "at": "2026-03-06T12:00:00Z"},
        "decisions": [
            {"decision": "flag_raised", "name": "quiet", "stood_at": "2026-03-18T00:00:00Z"},
            {"decision": "signal", "name": "payment_failed", "would_be_at": "2026-03-06T12:00:00Z"},
            {"decision": "stage", "name": "churned", "stood_at": "2026-03-09T", "would_be_at": "2026-03-06T12:00:00Z"},
        ],
    }
    assert formatting.decision(corrected) == (
        "late event invoice failed of 2026-03-06: quiet raised on 2026-03-18 would not have been; signal payment failed would "
        "have been on 2026-03-06; the change to churned would have been on 2026-03-06, not on 2026-03-09"
    )
    assert [formatting.value(one) for one in (None, True, 0.8333, 3, "x", 12345.6)] == [
        "unknown", "yes", "0.83", "3", "x", "12,346"
    ]  # fmt: skip
    assert formatting.money(123456, "EUR") == "€1,234.56"
    assert formatting.money(-5000, "EUR") == "-€50.00"
    assert formatting.money(-5000, "CHF") == "CHF -50.00"


def test_stages_are_drawn_below_each_other_with_steps_back_on_the_left():
    stages = [{"stage": name} for name in ("a", "b", "c")] + [{"stage": "gone", "terminal": True}]
    pairs = (("a", "b"), ("a", "c"), ("c", "a"), ("b", "nowhere"))
    drawn = drawing(stages, [{"source": source, "to": to, "words": "w"} for source, to in pairs])
    assert [(one.source, one.to, one.back) for one in drawn.arrows] == [
        ("a", "b", False),
        ("a", "c", False),
        ("c", "a", True),
    ]
    assert [box.y for box in drawn.boxes] == sorted({box.y for box in drawn.boxes})
    assert all(0 < box.x < drawn.width for box in drawn.boxes)
    assert drawing([], []).boxes == []


def test_metrics_are_read_with_their_labels_and_units():
    words = MetricWords(
        {"quiet": {"label": "time since use", "unit": "days"}, "used": {"label": "in use", "unit": "%"}}
    )
    assert (words.label("quiet"), words.value("quiet", 1), words.value("quiet", 21.0)) == (
        "time since use",
        "1 day",
        "21 days",
    )
    assert (words.value("used", 0.5), words.value("used", None), words.label("not_known")) == (
        "50%",
        "unknown",
        "not known",
    )
    assert MetricWords(None).value("stage", "value_realization") == "value realization"
