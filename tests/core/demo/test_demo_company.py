"""The demo company: the same for a seed, in order, of a bearable size, and complete."""

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from waymark.demo import company

TODAY = date(2026, 11, 22)
Records = list[dict[str, Any]]

EVENTS = {
    "Feature Used",
    "Report Created",
    "Dashboard Shared",
    "Value Delivered",
    "Subscription Started",
    "Subscription Renewed",
    "Subscription Cancelled",
    "Seats Changed",
    "User Invited",
    "User Removed",
    "Integration Connected",
    "Ticket Opened",
    "Ticket Closed",
    "NPS Answered",
    "CSAT Answered",
    "Invoice Paid",
    "Invoice Failed",
    "Limit Reached",
    "Gated Feature Attempted",
    "CSM Meeting Held",
    "Objective Set",
    "Objective Attained",
    "Referred Signup",
    "Billing Page Viewed",
    "Champion Left",
    "Referral Code Issued",
}


@pytest.fixture(scope="module")
def records() -> Records:
    return list(company(7, TODAY))


def of(records: Records, event: str) -> Records:
    return [record for record in records if record.get("event") == event]


def account(record: dict[str, Any]) -> str:
    return str(record["context"]["groupId"])


def test_the_same_seed_tells_the_same_bytes(records: Records):
    assert msgspec.json.encode(records) == msgspec.json.encode(list(company(7, TODAY)))


def test_another_seed_tells_another_company(records: Records):
    assert next(company(8, TODAY)) != records[0]


@pytest.mark.parametrize("seed", [1, 7, 2026])
def test_every_seed_has_20_000_to_30_000_events_of_85_accounts(seed: int):
    events = list(company(seed, TODAY))
    assert 20_000 <= len(events) <= 30_000
    assert len({account(record) for record in events}) == 85


def test_records_come_sorted_by_time(records: Records):
    assert records == sorted(records, key=lambda record: record["timestamp"])


def test_nothing_happens_today_or_later_and_most_in_the_last_180_days(records: Records):
    days = [datetime.fromisoformat(record["timestamp"]).date() for record in records]
    assert TODAY - timedelta(days=420) <= days[0]
    assert days[-1] == TODAY - timedelta(days=1)
    assert sum(day >= TODAY - timedelta(days=180) for day in days) > len(days) * 0.6


def test_every_message_id_occurs_once(records: Records):
    assert len({record["messageId"] for record in records}) == len(records)


def test_tomorrows_demo_shares_no_message_id_with_todays(records: Records):
    tomorrow = {record["messageId"] for record in company(7, TODAY + timedelta(days=1))}
    assert tomorrow.isdisjoint(record["messageId"] for record in records)


def test_every_promised_event_occurs_and_no_other(records: Records):
    assert {record["event"] for record in records if record["type"] == "track"} == EVENTS


def test_half_of_the_accounts_signed_up_before_the_window_and_some_in_it(records: Records):
    opening = (TODAY - timedelta(days=180)).isoformat()
    early = sum(record["timestamp"] < opening for record in of(records, "Subscription Started"))
    assert 20 < early < 65


def test_every_account_introduces_itself_before_anything_else(records: Records):
    first: dict[str, str] = {}
    for record in records:
        first.setdefault(account(record), record["type"])
    assert set(first.values()) == {"group"}


def test_group_traits_say_what_was_bought(records: Records):
    traits = [record["traits"] for record in records if record["type"] == "group"]
    assert {frozenset(each) for each in traits} == {
        frozenset({"name", "plan", "seats", "mrr", "renewal_at", "entitled_features", "segment", "csm"})
    }
    assert {each["segment"] for each in traits} == {"smb", "mid", "enterprise"}
    assert all(date.fromisoformat(each["renewal_at"]) for each in traits)


def test_people_are_known_before_they_do_anything(records: Records):
    known: set[str] = set()
    for record in records:
        if record["type"] == "identify":
            known.add(record["userId"])
        elif record["type"] == "track":
            assert record["userId"] in known


def test_every_person_has_a_role_a_time_zone_and_a_fictional_address(records: Records):
    people = [record["traits"] for record in records if record["type"] == "identify"]
    assert {person["role"] for person in people} == {"champion", "admin", "user"}
    assert all(person["email"].endswith(".example") and "/" in person["timezone"] for person in people)
    assert len({person["email"] for person in people}) == len(people)


def test_a_removed_person_never_works_again(records: Records):
    gone: set[str] = set()
    for record in records:
        assert record["userId"] not in gone
        if record.get("event") == "User Removed":
            gone.add(record["properties"]["user_id"])


def test_no_account_speaks_after_its_cancellation(records: Records):
    cancelled: set[str] = set()
    for record in records:
        assert account(record) not in cancelled
        if record.get("event") == "Subscription Cancelled":
            cancelled.add(account(record))
    assert len(cancelled) == 7


def test_tickets_close_after_they_open_and_some_stay_open(records: Records):
    opened = {record["properties"]["ticket_id"]: record for record in of(records, "Ticket Opened")}
    closed = {record["properties"]["ticket_id"]: record for record in of(records, "Ticket Closed")}
    assert len(opened) == len(of(records, "Ticket Opened"))
    assert closed.keys() < opened.keys()
    for ticket, record in closed.items():
        assert opened[ticket]["timestamp"] < record["timestamp"]
        assert opened[ticket]["properties"] == record["properties"]
    assert {record["properties"]["priority"] for record in opened.values()} == {"low", "normal", "urgent"}


Band = Callable[[int], bool]


@pytest.mark.parametrize("band", [lambda score: score >= 9, lambda score: 7 <= score < 9, lambda score: score < 7])
def test_every_nps_band_is_heard(records: Records, band: Band):
    assert sum(band(record["properties"]["score"]) for record in of(records, "NPS Answered")) >= 15


def test_an_attained_objective_was_set_before(records: Records):
    aims = {(account(record), record["properties"]["objective"]) for record in of(records, "Objective Set")}
    assert {
        (account(record), record["properties"]["objective"]) for record in of(records, "Objective Attained")
    } <= aims


def test_failed_invoices_are_mostly_recovered_but_not_all(records: Records):
    last = {account(record): record["event"] for record in records if str(record.get("event")).startswith("Invoice")}
    failing = {account(record) for record in of(records, "Invoice Failed")}
    ends = Counter(last[each] for each in failing)
    assert ends["Invoice Paid"] >= 3
    assert ends["Invoice Failed"] >= 3


def test_bought_seats_show_in_the_traits_the_same_day(records: Records):
    for change in of(records, "Seats Changed"):
        groups = [r for r in records if r["type"] == "group" and account(r) == account(change)]
        today = [r for r in groups if r["timestamp"][:10] == change["timestamp"][:10]]
        assert change["properties"]["seats"] in [r["traits"]["seats"] for r in today]
