"""Highlights of the demo: the accounts live as their persona says."""

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from waymark.demo import company, highlights
from waymark.demo.company import accounts_of
from waymark.demo.model import value_at
from waymark.demo.personas import PERSONAS
from waymark.demo.simulation import account_records

TODAY = date(2026, 11, 22)
Records = list[dict[str, Any]]
Told = dict[str, Records]
WORK = {"Feature Used", "Report Created", "Dashboard Shared", "Value Delivered"}


@pytest.fixture(scope="module")
def told() -> Told:
    by_account: Told = {}
    for record in company(7, TODAY):
        by_account.setdefault(record["context"]["groupId"], []).append(record)
    return by_account


def ago(record: dict[str, Any]) -> int:
    return (TODAY - datetime.fromisoformat(record["timestamp"]).date()).days


def of(records: Records, *events: str) -> Records:
    return [record for record in records if record.get("event") in events]


def working(records: Records, days: int) -> set[str]:
    return {record["userId"] for record in of(records, *WORK) if ago(record) <= days}


def test_the_personas_fill_the_company():
    assert sum(persona.accounts for persona in PERSONAS) == 85


def test_every_persona_has_accounts_to_show(told: Told):
    samples = highlights(7, TODAY).samples
    assert samples.keys() == {persona.name for persona in PERSONAS}
    assert all(1 <= len(matching) <= 3 for matching in samples.values())
    assert {shown.account_id for matching in samples.values() for shown in matching} <= told.keys()


def test_the_champion_leaves_then_use_tickets_and_nps_fall_and_it_cancels_30_days_ago(told: Told):
    records = told[highlights(7, TODAY).churn.account_id]
    happened = {
        "left": max(ago(record) for record in of(records, "User Removed")),
        "urgent": [ago(r) for r in of(records, "Ticket Opened") if r["properties"]["priority"] == "urgent"],
        "nps 3": next(ago(r) for r in of(records, "NPS Answered") if r["properties"]["score"] == 3),
        "last use": min(ago(record) for record in of(records, *WORK)),
        "cancelled": ago(of(records, "Subscription Cancelled")[0]),
    }
    assert happened["cancelled"] == 30
    assert len(happened["urgent"]) == 2
    assert happened["left"] > max(happened["urgent"]) > happened["nps 3"] >= happened["last use"] - 7
    assert happened["last use"] > 50


def test_the_story_is_the_same_on_any_day_of_the_week():
    for shift in range(7):
        today = TODAY + timedelta(days=shift)
        churn = next(each for each in accounts_of(7, today) if each.persona.name == "champion_leaves")
        *_, cancelled = account_records(churn, today)
        assert cancelled["event"] == "Subscription Cancelled"
        assert (today - date.fromisoformat(cancelled["timestamp"][:10])).days == 30


def test_silent_accounts_have_been_silent_for_weeks_without_cancelling(told: Told):
    for shown in highlights(7, TODAY).samples["silent"]:
        assert min(ago(record) for record in of(told[shown.account_id], *WORK)) >= 21
        assert not of(told[shown.account_id], "Subscription Cancelled")


def test_stalled_accounts_connected_nothing_and_set_no_objective(told: Told):
    for shown in highlights(7, TODAY).samples["stalled"]:
        assert not of(told[shown.account_id], "Integration Connected", "Objective Set", "Value Delivered")


def test_seats_are_nearly_all_in_use_where_they_run_out_and_half_on_the_plateau(told: Told):
    def share(account: str) -> float:
        seats = [r["traits"]["seats"] for r in told[account] if r["type"] == "group"][-1]
        return len(working(told[account], 28)) / seats

    samples = highlights(7, TODAY).samples
    assert all(share(shown.account_id) >= 0.8 for shown in samples["out_of_seats"])
    assert all(share(shown.account_id) <= 0.65 for shown in samples["plateau"])


def test_gated_features_are_tried_three_times_by_two_people_within_14_days(told: Told):
    for shown in highlights(7, TODAY).samples["wanting_more"]:
        tried = [r for r in of(told[shown.account_id], "Gated Feature Attempted") if ago(r) <= 14]
        assert len(tried) >= 3
        assert len({record["userId"] for record in tried}) >= 2


def test_advocates_are_promoters_of_half_a_year_with_an_objective_attained(told: Told):
    for shown in highlights(7, TODAY).samples["advocate"]:
        records = told[shown.account_id]
        assert ago(records[0]) >= 180
        assert of(records, "Objective Attained")
        recent = [r["properties"]["score"] for r in of(records, "NPS Answered") if ago(r) <= 90]
        assert recent
        assert min(recent) >= 9


def test_referred_accounts_signed_up_with_an_advocates_code_and_paid(told: Told):
    referrals = highlights(7, TODAY).referrals
    assert len({referral.code for referral in referrals}) == 3
    for referral in referrals:
        signed_up = of(told[referral.referred_id], "Referred Signup")[0]
        assert signed_up["properties"] == {"referral_code": referral.code}
        assert referral.code.startswith("DEMO")
        assert of(told[referral.referred_id], "Invoice Paid")
        assert referral.user_id in {record["userId"] for record in told[referral.advocate_id]}


def test_some_renewals_are_behind_and_some_within_the_next_weeks(told: Told):
    ahead = Counter[bool]()
    for records in told.values():
        renewal = [r["traits"]["renewal_at"] for r in records if r["type"] == "group"][-1]
        ahead[TODAY.isoformat() <= renewal <= (TODAY + timedelta(days=60)).isoformat()] += 1
    assert ahead[True] >= 8
    assert sum(bool(of(records, "Subscription Renewed")) for records in told.values()) >= 15


def test_a_curve_is_straight_between_its_points_and_flat_outside():
    curve = ((0, 0.2), (10, 0.4), (20, 1.0))
    assert [round(value_at(curve, day), 2) for day in (-5, 0, 5, 10, 15, 20, 99)] == [0.2, 0.2, 0.3, 0.4, 0.7, 1.0, 1.0]
