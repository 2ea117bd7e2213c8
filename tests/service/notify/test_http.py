"""REST API of notify: lists, one delivery, mode, tasks, plays and consents."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from services.notify.core.delivery import decode_decision, encode_decision
from services.notify.tables import delivery
from shared.keys import credentials
from tests.conftest import Deployment
from tests.service.notify.make import DAY, MONDAY, Customer, Office, office


@pytest.fixture
async def here(deployment: Deployment) -> AsyncIterator[Office]:
    async with office(deployment.settings) as made:
        yield made


async def test_the_outbox_shows_the_newest_first_page_by_page(here: Office) -> None:
    customer = Customer()
    await here.take(*customer.begin(), customer.clock(MONDAY + 15 * DAY))
    whole = (await here.http.get("/v1/outbox")).json()["items"]
    assert [row["at"] for row in whole] == sorted((row["at"] for row in whole), reverse=True)
    pages, cursor = [], ""
    while cursor is not None:
        answer = (await here.http.get("/v1/outbox", params={"limit": 2, "cursor": cursor})).json()
        pages, cursor = [*pages, *answer["items"]], answer["next"]
    assert pages == whole
    assert len(whole) > 2


async def test_the_outbox_is_filtered(here: Office) -> None:
    await here.welcomed("acme")
    await here.welcomed("beta")

    async def count(**query: str) -> int:
        return len((await here.http.get("/v1/outbox", params=query)).json()["items"])

    assert await count() == 2
    assert await count(account="beta", status="previewed", play="welcome", channel="email", history="false") == 1
    assert await count(history="true") == 0
    assert (await here.http.get("/v1/outbox", params={"status": "gone"})).json()["code"] == "unknown_status"
    for path in ("/v1/outbox", "/v1/tasks"):
        refused = await here.http.get(path, params={"play": "welcom"})
        assert (refused.status_code, refused.json()["code"]) == (400, "unknown_play")
        assert "there are: adoption_checkin, " in refused.json()["detail"]


async def test_the_outbox_is_searched_sorted_and_counted_and_names_people(here: Office) -> None:
    await here.welcomed("acme")
    await here.welcomed("beta")

    async def found(**query: str) -> list[str]:
        items, cursor = [], ""
        while cursor is not None:
            answer = await here.http.get("/v1/outbox", params={**query, "limit": "1", "cursor": cursor})
            assert answer.status_code == 200, answer.text
            items, cursor = [*items, *answer.json()["items"]], answer.json()["next"]
        return [item["account"] for item in items]

    assert await found(sort="account") == ["acme", "beta"]
    assert await found(sort="-account") == ["beta", "acme"]
    assert await found(q="BET") == await found(q="ann@beta.test") == ["beta"]
    assert sorted(await found(q="ACME")) == ["acme", "beta"], "both accounts are named Acme"
    assert len(await found(owner="Kim")) == 2
    assert await found(owner="") == await found(owner="Lee") == await found(since="2030-01-01T00:00:00Z") == []
    page = (await here.http.get("/v1/outbox", params={"count": "true", "limit": 1})).json()
    assert (page["total"], len(page["items"])) == (2, 1)
    shown = page["items"][0]
    assert (shown["account_name"], shown["owner"], shown["user_name"]) == ("Acme", "Kim", "Ann Lee")
    one = (await here.http.get(f"/v1/outbox/{shown['id']}")).json()
    assert (one["account_name"], one["owner"], one["user_name"]) == ("Acme", "Kim", "Ann Lee")
    assert (await here.http.get("/v1/outbox", params={"sort": "age"})).json()["code"] == "unknown_sort"
    assert (await here.http.get("/v1/outbox", params={"cursor": "WyJhIiwiYiJd"})).json()["code"] == "bad_cursor"


async def test_one_delivery_shows_what_would_go(here: Office) -> None:
    row = await here.welcomed()
    shown = (await here.http.get(f"/v1/outbox/{row['id']}")).json()
    assert (shown["subject"], shown["text"]) == (row["subject"], row["text"])
    assert f'href="{here.writer.unsubscribe_url(row["id"])}"' in shown["html"]
    assert (await here.http.get("/v1/outbox/none")).status_code == 404


async def test_one_whose_text_is_gone_since_shows_what_was_planned(here: Office) -> None:
    row = await here.welcomed()
    planned = decode_decision(row["decision"])
    gone = [encode_decision(replace(planned, **{name: "gone"})) for name in ("template", "channel")]
    for decision in [*gone, b"no decision"]:
        async with here.database.transaction() as tx:
            await tx.run(update(delivery).values(decision=decision))
        shown = (await here.http.get(f"/v1/outbox/{row['id']}")).json()
        assert (shown["subject"], shown["text"], shown["html"]) == (row["subject"], row["text"], "")


async def test_a_task_is_listed_until_it_is_done(here: Office) -> None:
    customer = Customer()
    await here.take(*customer.begin(), customer.clock(MONDAY + 14 * DAY + DAY))
    (task,) = (await here.http.get("/v1/tasks")).json()["items"]
    assert (task["step"], task["status"]) == ("welcome_task_no_value", "opened")
    assert (await here.state()).open_tasks
    assert (task["account_name"], task["owner"]) == ("Acme", "Kim")
    for outcome in ("They use another product.", "once more"):
        answer = await here.http.post(f"/v1/tasks/{task['id']}/done", json={"outcome": outcome})
        assert answer.json()["status"] == "done"
    assert (answer.json()["outcome"], answer.json()["done_by"]) == ("They use another product.", "default")
    assert (await here.http.get("/v1/tasks", params={"owner": "Kim"})).json()["items"] == []
    (closed,) = (await here.http.get("/v1/tasks", params={"done": "true"})).json()["items"]
    assert closed["outcome"] == "They use another product."
    assert not (await here.state()).open_tasks


async def test_a_mail_is_no_task(here: Office) -> None:
    row = await here.welcomed()
    assert (await here.http.post(f"/v1/tasks/{row['id']}/done")).json()["code"] == "no_task"


async def test_the_mode_is_preview_until_somebody_says_live(here: Office) -> None:
    assert (await here.http.get("/v1/mode")).json() == {"mode": "preview", "set_by": "", "set_at": None}
    assert (await here.http.put("/v1/mode", json={"mode": "on"})).status_code == 422
    await here.live()
    assert (await here.http.get("/v1/mode")).json()["set_by"] == "default"


async def test_a_reader_may_not_change_anything(here: Office) -> None:
    key = {"Authorization": f"Bearer {credentials(here.context.settings.data).read}"}
    assert (await here.http.get("/v1/mode", headers=key)).status_code == 200
    assert (await here.http.put("/v1/mode", json={"mode": "live"}, headers=key)).status_code == 403
    assert (await here.http.post("/v1/outbox/x/release", headers=key)).status_code == 403
    assert (await here.http.get("/v1/outbox", headers={"Authorization": ""})).status_code == 401


async def test_plays_are_told_with_their_counts(here: Office) -> None:
    await here.welcomed()
    plays = {play["name"]: play for play in (await here.http.get("/v1/plays")).json()}
    assert plays["welcome"]["counts"] == {"previewed": 1}
    assert plays["welcome"]["trigger"] == "stage onboarding"
    assert plays["nps_invite"]["trigger"] == "request"
    assert [step["after"] for step in plays["welcome"]["steps"]][:2] == [0, 2 * 86400]


async def test_consent_given_elsewhere_is_recorded_and_taken_back(here: Office) -> None:
    await here.welcomed()
    no = {"account": "acme", "user": "ann", "granted": False}
    assert (await here.http.put("/v1/consents", json=no)).json()["source"] == "key:default"
    assert (await here.state()).declined_topics == {"ann": ["*"]}
    assert (await here.http.put("/v1/consents", json=no | {"granted": True})).json()["granted"] is True
    assert not (await here.state()).declined_topics
    assert (await here.http.put("/v1/consents", json=no | {"account": "none"})).status_code == 404


async def test_whoever_comes_back_to_everything_declines_nothing_any_more(here: Office) -> None:
    await here.welcomed()
    for topic, granted in (("nps", False), ("*", False), ("*", True)):
        said = {"account": "acme", "user": "ann", "topic": topic, "granted": granted}
        assert (await here.http.put("/v1/consents", json=said)).status_code == 200
    assert all(said["granted"] for said in (await here.http.get("/v1/consents", params={"user": "ann"})).json())
    again = {"account": "acme", "user": "bob", "granted": True}
    assert (await here.http.put("/v1/consents", json=again)).json()["code"] == "nothing_declined"


async def test_an_expired_delivery_is_not_released(here: Office) -> None:
    row = await here.welcomed()
    here.clock.move(6 * DAY)
    assert (await here.http.post(f"/v1/outbox/{row['id']}/release")).json()["code"] == "expired"
    assert (await here.http.post("/v1/outbox/release", json={"play": "welcom"})).json()["code"] == "unknown_play"


async def test_nothing_is_parked(here: Office) -> None:
    assert (await here.http.get("/v1/parked")).json() == {"items": [], "next": None, "total": None}
