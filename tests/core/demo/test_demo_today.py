"""Today at the demo company: what comes in live is of accounts and people that are there, and differs from the year before."""

from datetime import date

from waymark.demo import company
from waymark.demo.company import accounts_of
from waymark.demo.today import live_events

TODAY = date(2026, 11, 22)
SEEDS = (1, 7, 2026)


def test_equal_arguments_give_equal_events_without_a_time():
    assert list(live_events(7, TODAY)) == list(live_events(7, TODAY))
    assert not [event for event in live_events(7, TODAY) if "timestamp" in event]


def test_no_event_of_today_is_one_of_the_year_before():
    before = {record["messageId"] for record in company(7, TODAY)}
    today = [event["messageId"] for event in live_events(7, TODAY)]
    assert before.isdisjoint(today)
    assert len({*today}) == len(today)


def test_whoever_tells_it_works_there_still():
    for seed in SEEDS:
        removed, known = set[str](), set[str]()
        for record in company(seed, TODAY):
            known |= {record["userId"]} if record["type"] == "identify" else set()
            removed |= {record["properties"]["user_id"]} if record.get("event") == "User Removed" else set()
        for event in live_events(seed, TODAY):
            assert event["userId"] in known - removed, (seed, event["event"])


def test_a_referred_account_pays_for_the_first_time_today():
    for seed in SEEDS:
        accounts = accounts_of(seed, TODAY)
        (lately,) = [one for one in accounts if one.persona.name == "referred_lately"]
        assert lately.referred_by_code in {one.referral_code for one in accounts if one.persona.name == "advocate"}
        assert len({one.referred_by_code for one in accounts}) == 5, "four codes, each used once, and none"
        told = [record for record in company(seed, TODAY) if record["context"]["groupId"] == lately.id]
        events = {record.get("event") for record in told}
        assert "Referred Signup" in events
        assert "Invoice Paid" not in events
        (paid,) = [event for event in live_events(seed, TODAY) if event["event"] == "Invoice Paid"]
        assert paid["context"]["groupId"] == lately.id
