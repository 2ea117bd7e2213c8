"""REST API of lifecycle for internal tools, and accounts that time alone moves."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.conftest import Deployment
from tests.journey.services import RunningServices, run_services
from tests.make import NOON, FakeClock, eventually, track

CLOCK_START = NOON


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(CLOCK_START)


@pytest.fixture
async def on(deployment: Deployment, clock: FakeClock) -> AsyncIterator[RunningServices]:
    async with run_services(deployment.settings, ["ingest", "lifecycle"], clock) as running:
        yield running


async def used(on: RunningServices, clock: FakeClock, *accounts: str) -> None:
    fields = {"at": clock.now(), "properties": {"feature": "reports"}}
    batch = [
        track("Feature Used", f"{name}-ann", name, messageId=f"{name}-{clock.now().isoformat()}", **fields)
        for name in accounts
    ]
    assert (await on.http.post("/v1/batch", json={"batch": batch}, auth=(on.write_key, ""))).status_code == 200
    await on.wait_until_idle()


async def test_accounts_come_page_by_page_and_filters_must_all_match(on: RunningServices, clock: FakeClock) -> None:
    names = [f"acct{number:02}" for number in range(7)]
    await used(on, clock, *names)
    assert [one["id"] for one in await on.pages("/lifecycle/v1/accounts", limit=3)] == names
    assert [
        one["id"] for one in await on.pages("/lifecycle/v1/accounts", stage="onboarding", health="unknown")
    ] == names
    assert await on.pages("/lifecycle/v1/accounts", stage="onboarding", flag="at_risk") == []


async def test_accounts_are_found_by_text_and_by_id_in_the_order_asked_for(
    on: RunningServices, clock: FakeClock
) -> None:
    await used(on, clock, "beta")
    clock.move(timedelta(minutes=1))
    named = {"type": "group", "groupId": "zoo-1", "userId": "z", "traits": {"name": "Alpha 100%"}, "messageId": "g"}
    assert (await on.http.post("/v1/batch", json={"batch": [named]}, auth=(on.write_key, ""))).status_code == 200
    await used(on, clock, "gamma", "zoo-1")

    async def found(**query: Any) -> list[str]:
        return [one["id"] for one in await on.pages("/lifecycle/v1/accounts", limit=1, **query)]

    assert await found(sort="name") == ["zoo-1", "beta", "gamma"]
    assert await found(sort="-name") == ["gamma", "beta", "zoo-1"]
    assert await found(sort="entered_at") == ["beta", "gamma", "zoo-1"]
    assert await found(sort="score") == ["beta", "gamma", "zoo-1"]
    assert await found(sort="-score") == ["zoo-1", "gamma", "beta"]
    assert await found(sort="known_score") == ["beta", "gamma", "zoo-1"]
    assert await found(q="ALPHA") == await found(q="ZOO") == await found(q="100%") == ["zoo-1"]
    assert await found(q="1%0") == []
    assert await found(ids=["gamma", "nobody", "beta"]) == ["beta", "gamma"]


async def test_the_portfolio_counts_every_account(on: RunningServices, clock: FakeClock) -> None:
    await used(on, clock, "one", "two")
    counted = await on.get("/lifecycle/v1/portfolio")
    stands = {"stages": {"onboarding": 2}, "bands": {"unknown": 2}, "flags": {}, "owners": {"": 2}, "plans": {"": 2}}
    assert counted == {"accounts": 2, **stands}


async def test_accounts_are_found_by_who_looks_after_them_their_plan_and_their_renewal(
    on: RunningServices, clock: FakeClock
) -> None:
    renewals = {"kim-1": "2026-12-01", "kim-2": "2027-03-01T12:00:00Z", "lee-1": "2026-12-01T23:59:59Z"}
    traits = {name: {"csm": name[:3].title(), "plan": "Pro", "renewal_at": at} for name, at in renewals.items()}
    groups = [
        {"type": "group", "groupId": name, "userId": "u", "traits": of, "messageId": name}
        for name, of in traits.items()
    ]
    assert (await on.http.post("/v1/batch", json={"batch": groups}, auth=(on.write_key, ""))).status_code == 200
    await used(on, clock, "nobodys", *renewals)

    async def found(**query: Any) -> list[str]:
        return [one["id"] for one in await on.pages("/lifecycle/v1/accounts", limit=1, **query)]

    assert await found(owner="Kim") == ["kim-1", "kim-2"]
    assert await found(owner="") == ["nobodys"]
    assert await found(plan="Pro", q="LEE") == ["lee-1"]
    assert await found(renewal_from="2026-12-01", renewal_to="2026-12-01") == ["kim-1", "lee-1"]
    assert await found(renewal_from="2026-12-02") == ["kim-2"]
    assert await found(sort="-renewal_at") == ["nobodys", "kim-2", "lee-1", "kim-1"]
    assert await found(sort="owner") == ["nobodys", "kim-1", "kim-2", "lee-1"]
    assert await found(since=clock.now().isoformat().replace("+00:00", "Z")) == ["kim-1", "kim-2", "lee-1", "nobodys"]
    assert await found(since="2030-01-01T00:00:00Z") == []
    page = await on.get("/lifecycle/v1/accounts", owner="Kim", limit=1, count=True)
    assert (len(page["items"]), page["total"]) == (1, 2)
    assert page["items"][0]["renewal_at"] == "2026-12-01T00:00:00Z"
    of_kim = await on.get("/lifecycle/v1/portfolio", owner="Kim")
    assert (of_kim["accounts"], of_kim["owners"], of_kim["plans"]) == (2, {"Kim": 2}, {"Pro": 2})
    assert (await on.get("/lifecycle/v1/accounts/kim-1"))["owner"] == "Kim"


MISTYPED = [
    ("sort=age", "unknown_sort"),
    ("sort=score&cursor=WyJhIiwiYiJd", "bad_cursor"),
    ("sort=renewal_at&cursor=WyJhIiwiYiJd", "bad_cursor"),
    ("stage=onbording", "unknown_stage"),
    ("renewal_to=9999-12-31", "bad_day"),
    ("flag=risky", "unknown_flag"),
    ("cursor=x", "bad_cursor"),
]


async def test_a_mistyped_filter_is_an_error_not_an_empty_list(on: RunningServices) -> None:
    for query, code in MISTYPED:
        answer = await on.http.get(f"/lifecycle/v1/accounts?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, code), query
        assert answer.headers["content-type"] == "application/problem+json"


async def test_one_account_tells_its_history_with_evidence(on: RunningServices, clock: FakeClock) -> None:
    await used(on, clock, "a/b c")
    seen = await on.get("/lifecycle/v1/accounts/a%2Fb%20c")
    assert (seen["stage"], seen["milestones"].keys()) == ("onboarding", {"first_use"})
    assert all("clauses" in edge for edge in seen["next"])
    history = (await on.get("/lifecycle/v1/accounts/a%2Fb%20c/history"))["items"]
    assert [one["seq"] for one in reversed(history)] == list(range(1, len(history) + 1))
    refused = await on.http.get("/lifecycle/v1/accounts/a%2Fb%20c/history", params={"kind": "stage_change"})
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_kind")
    assert "stage_changed" in refused.json()["detail"]
    moved = next(one for one in history if one["kind"] == "stage_changed")
    assert moved["evidence"]["definition"] == (await on.get("/lifecycle/v1/definition"))["definition"]
    assert moved["evidence"]["events"][0]["id"] == f"a/b c-{CLOCK_START.isoformat()}"


async def test_notes_on_an_account_stay_with_who_wrote_them(on: RunningServices, clock: FakeClock) -> None:
    await used(on, clock, "acme")
    for text in ("Renewal is safe.", "They want SSO."):
        answer = await on.http.post("/lifecycle/v1/accounts/acme/notes", json={"text": text})
        assert (answer.status_code, answer.json()["author"]) == (200, "default")
        clock.move(timedelta(minutes=1))
    notes = await on.pages("/lifecycle/v1/accounts/acme/notes", limit=1)
    assert [note["text"] for note in notes] == ["They want SSO.", "Renewal is safe."]
    assert await on.pages("/lifecycle/v1/accounts/acme/notes", since=notes[0]["at"]) == notes[:1]
    missing = await on.http.post("/lifecycle/v1/accounts/nobody/notes", json={"text": "?"})
    assert (missing.status_code, missing.json()["code"]) == (404, "no_account")
    assert (await on.http.get("/lifecycle/v1/accounts/nobody/notes")).status_code == 404
    assert (await on.http.post("/lifecycle/v1/accounts/acme/notes", json={"text": ""})).status_code == 422
    acts = await on.pages("/ingest/v1/audit", action="note_written")
    assert [(act["subject"], act["actor"]) for act in acts] == [("acme", "default")] * 2


async def test_an_unknown_account_is_404_and_a_write_key_may_not_read(on: RunningServices) -> None:
    assert (await on.http.get("/lifecycle/v1/accounts/nobody")).json()["code"] == "no_account"
    wrong = await on.http.get("/lifecycle/v1/funnel", headers={"Authorization": f"Bearer {on.write_key}"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_kind")
    none = await on.http.get("/lifecycle/v1/funnel", headers={"Authorization": ""})
    assert (none.status_code, none.json()["code"]) == (401, "no_key")


async def test_the_funnel_counts_every_account_once(on: RunningServices, clock: FakeClock) -> None:
    await used(on, clock, "one", "two")
    funnel = await on.get("/lifecycle/v1/funnel")
    assert funnel["accounts"] == sum(stage["accounts"] for stage in funnel["stages"]) == 2
    assert funnel["stages"][0]["stage"] == "onboarding"


async def test_silence_alone_raises_a_flag_once_with_the_days_as_evidence(
    on: RunningServices, clock: FakeClock
) -> None:
    """No event comes; the wall clock moves on, and the timers look by themselves."""
    await used(on, clock, "quiet")
    clock.move(timedelta(days=40))

    async def told() -> list[dict[str, Any]]:
        page = await on.get("/lifecycle/v1/accounts/quiet/history", kind="flag_changed")
        return [one for one in page["items"] if one["flag"] == "dormant"]

    async def flagged() -> bool:
        return bool(await told())

    await eventually(flagged)
    clock.move(timedelta(days=1))

    async def ticked() -> bool:
        row = next(one for one in await on.pages("/lifecycle/v1/accounts") if one["id"] == "quiet")
        return datetime.fromisoformat(row["clock"]) >= CLOCK_START + timedelta(days=40)

    await eventually(ticked)
    (raised,) = await told()
    assert raised["raised"]
    assert raised["evidence"]["clauses"][0]["values"] == {"days_since_core_use": 28.0}
    (row,) = await on.pages("/lifecycle/v1/accounts", flag="dormant", why=True)
    why = {one["flag"]: (one["since"], one["reason"]) for one in row["raised"]}
    assert why.keys() == {*row["flags"]}
    assert why["dormant"] == (raised["at"], "No core use for 28 days.")
    told_alone = (await on.get("/lifecycle/v1/accounts/quiet"))["raised"]
    assert {one["flag"]: (one["since"], one["reason"]) for one in told_alone} == why
    assert (await on.pages("/lifecycle/v1/accounts"))[0]["raised"] is None


async def test_values_that_cannot_be_read_are_listed_and_counted(on: RunningServices, clock: FakeClock) -> None:
    batch = [
        track("NPS Answered", "ann", "acme", messageId=str(number), at=clock.now(), properties={"score": score})
        for number, score in enumerate([11, "9", -1])
    ]
    assert (await on.http.post("/v1/batch", json={"batch": batch}, auth=(on.write_key, ""))).status_code == 200
    await on.wait_until_idle()
    (row,) = await on.pages("/lifecycle/v1/unreadable")
    assert (row["event"], row["property"], row["count"], row["example"]) == ("nps_answered", "score", 2, "-1")
    metrics = (await on.http.get("/lifecycle/metrics")).text
    labels = f'event="nps_answered",property="score",source="{row["source"]}"'
    assert f"waymark_unreadable_values_total{{{labels}}} 2.0" in metrics


async def test_an_event_that_no_class_matches_is_listed_by_its_name(on: RunningServices, clock: FakeClock) -> None:
    names = ["Feature used", "Feature used", "Feature Used"]
    batch = [
        track(name, "ann", "acme", messageId=str(number), at=clock.now(), properties={"feature": "reports"})
        for number, name in enumerate(names)
    ]
    assert (await on.http.post("/v1/batch", json={"batch": batch}, auth=(on.write_key, ""))).status_code == 200
    await on.wait_until_idle()
    (row,) = await on.pages("/lifecycle/v1/unmatched")
    assert (row["event"], row["count"], row["account"]) == ("Feature used", 2, "acme")
