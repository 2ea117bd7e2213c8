"""Rates at the door: a source that sends too much, or names too many that nobody knows, is asked to retry later."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from shared.settings import Settings
from tests.conftest import scaled
from tests.service.ingest.make import RunningIngest, bearer, running


def event(account: str, user: str) -> dict[str, Any]:
    """One that no other is taken for."""
    who = {"userId": user, "context": {"groupId": account}, "messageId": f"{account}/{user}"}
    return {"type": "track", "event": "X", **who}


async def public_key(ingest: RunningIngest, **rates: int) -> str:
    body = {"kind": "browser", "name": "website", "rates": rates}
    answer = await ingest.client.post("/ingest/v1/keys", json=body, headers=bearer(ingest.keys.admin))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


async def post(ingest: RunningIngest, key: str, *events: Any) -> httpx2.Response:
    return await ingest.client.post("/v1/batch", json={"batch": events, "writeKey": key})


def limited(answer: httpx2.Response) -> bool:
    """Whether it is refused as SDKs understand it."""
    if answer.status_code == 200:
        return False
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) >= 1
    assert "retry later" in answer.json()["message"]
    return True


async def test_a_flood_of_a_public_key_ends_in_429_while_the_server_goes_on(tmp_path: Path) -> None:
    async with running(Settings(data=tmp_path)) as ingest:
        key = await public_key(ingest, events_per_minute=100)
        answers = [await post(ingest, key, *[event("acme", "ann")] * 95) for _ in range(4)]
        in_the_head = await ingest.client.post("/v1/batch", content=b"{", auth=(key, ""))
        await ingest.post(event("acme", "ann"))
        metrics = (await ingest.client.get("/ingest/metrics")).text

    assert [limited(answer) for answer in answers] == [False, False, True, True]
    assert limited(in_the_head)
    assert 'waymark_rate_limited_total{rate="events_per_minute",source="website"} 3.0' in metrics


@pytest.mark.parametrize("where", ["sqlite", pytest.param("scaled", marks=pytest.mark.servers)])
async def test_a_public_key_creates_few_accounts_and_whoever_is_known_goes_on(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = Settings(data=tmp_path) if where == "sqlite" else scaled(request, tmp_path)
    async with running(settings) as ingest:
        await ingest.post(*[event(f"customer-{n}", f"user-{n}") for n in range(40)])
        await ingest.published()
        key = await public_key(ingest, accounts_per_hour=5, contacts_per_hour=10)

        known = [await post(ingest, key, event(f"customer-{n}", f"user-{n}")) for n in range(40)]
        strangers = [await post(ingest, key, event(f"new-{n}", "user-1")) for n in range(20)]
        of_a_batch = await post(ingest, key, *[event(f"more-{n}", "user-1") for n in range(20)])
        people = [await post(ingest, key, event("customer-1", f"bot-{n}")) for n in range(20)]
        again = await post(ingest, key, event("new-1", "bot-1"))
        by_server = await post(ingest, ingest.keys.write, *[event(f"more-{n}", "user-1") for n in range(20)])
        events = await ingest.published()

    assert not any(map(limited, known))
    assert [limited(answer) for answer in strangers] == [False] * 5 + [True] * 15
    assert limited(of_a_batch)
    assert [limited(answer) for answer in people] == [False] * 10 + [True] * 10
    assert not limited(again)
    assert not limited(by_server)
    of_website = [event for event in events if event.source == "website"]
    assert len({event.account for event in of_website if event.account.startswith("new")}) == 5
    assert len({event.user for event in of_website if event.user and event.user.startswith("bot")}) == 10


async def test_every_way_to_name_somebody_counts(tmp_path: Path) -> None:
    async with running(Settings(data=tmp_path)) as ingest:
        key = await public_key(ingest, accounts_per_hour=4, contacts_per_hour=4)
        ways = [
            {"type": "group", "groupId": "a1", "userId": "u1"},
            {"type": "track", "event": "X", "userId": "u1", "context": {"groupId": "a2"}},
            {"type": "track", "event": "X", "anonymousId": "u2", "groupId": 3},
            {"type": "alias", "userId": "u1", "previousId": "u3"},
        ]
        answers = [await post(ingest, key, event) for event in ways]
        of_the_batch = {"batch": [ways[0]], "writeKey": key, "context": {"groupId": "a4"}}
        answers.append(await ingest.client.post("/v1/batch", json=of_the_batch))
        single = {"type": "track", "event": "X", "userId": "u4", "context": {"groupId": "a1"}, "writeKey": key}
        answers.append(await ingest.client.post("/v1/track", json=single))
        assert not any(map(limited, answers))

        used_up = [
            await post(ingest, key, {"type": "group", "groupId": "a5", "userId": "u1"}),
            await post(ingest, key, {"type": "identify", "userId": "u5"}),
            await post(ingest, key, {"type": "alias", "userId": "u1", "previousId": "u6"}),
            await ingest.client.post("/v1/batch", json=of_the_batch | {"context": {"groupId": "a7"}}),
            await ingest.client.post("/v1/page", json=single | {"userId": None, "anonymousId": "u7"}),
        ]
        assert all(map(limited, used_up))
