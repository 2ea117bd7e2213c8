"""What a key is good for: who has none, a page's public one, or one that leaked, can do no more than it is for."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from shared.clock import SystemClock
from tests.adversary.product import SERVICES, Product, group, running, track
from tests.conftest import Deployment
from tests.make import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGES = "https://app.example.com"
ACCOUNTS_AN_HOUR, CONTACTS_AN_HOUR = 1_000, 10_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(place: Deployment) -> AsyncIterator[Product]:
    async with running(place.settings) as started:
        yield started


async def issued(product: Product, name: str, kind: str = "browser", **wanted: Any) -> dict[str, Any]:
    """A key made by REST, which the product's `post` then knows by its name."""
    answer = await product.call("POST", "/ingest/v1/keys", json={"kind": kind, "name": name, **wanted})
    assert answer.status_code == 201, answer.text
    product.keys[name] = answer.json()["key"]
    return dict(answer.json())


async def statuses(product: Product, *keys: str, **headers: str) -> list[int]:
    """How a post with each of these is answered."""
    return [(await product.post([track("acme", "ann", "X")], key, headers=headers)).status_code for key in keys]


async def test_a_leaked_key_is_replaced_and_withdrawn_while_events_flow(product: Product) -> None:
    old = await issued(product, "website")
    answer = await product.call("POST", f"/ingest/v1/keys/{old['id']}/rotate", json={})
    product.keys["new"] = answer.json()["key"]
    assert await statuses(product, "website", "new") == [200, 200]

    await product.call("POST", f"/ingest/v1/keys/{old['id']}/revoke")
    assert await statuses(product, "website", "new", "server") == [401, 200, 200]
    listed = (await product.call("GET", "/ingest/v1/keys")).text
    assert not any(key in listed for key in product.keys.values())

    async def seen() -> bool:
        found = (await product.get("/ingest/v1/keys"))["items"]
        return [bool(one["last_used_at"]) for one in found if one["name"] == "website"] == [True, True]

    await eventually(seen)
    for kind in (None, "read", "server", "new"):
        refused = await product.call("POST", "/ingest/v1/keys", kind, json={"kind": "admin", "name": "mine"})
        assert refused.status_code in {401, 403}


async def test_a_key_made_or_withdrawn_on_the_command_line_counts_within_seconds(product: Product) -> None:
    product.keys["shop"] = await product.waymark("keys", "create", "--kind", "browser", "--name", "shop")
    assert await statuses(product, "shop") == [200], "known at once: it is looked for when it is shown"
    [row] = [line for line in (await product.waymark("keys", "list")).splitlines() if " shop " in line]
    product.keys["shop-2"] = await product.waymark("keys", "rotate", row.split()[0])
    assert await statuses(product, "shop", "shop-2") == [200, 200], "two live keys"
    await product.waymark("keys", "revoke", row.split()[0])

    async def withdrawn() -> bool:
        return await statuses(product, "shop", "shop-2") == [401, 200]

    await eventually(withdrawn)


async def test_a_public_key_posts_from_its_own_pages_and_from_servers_only(product: Product) -> None:
    await issued(product, "pages", origins=[PAGES])
    found = [
        await statuses(product, "pages", Origin=origin)
        for origin in (PAGES, "https://evil.example", f"{PAGES}.evil.example", "http://app.example.com", "null")
    ]
    assert found == [[200], [403], [403], [403], [403]]
    assert await statuses(product, "pages") == [200]
    assert await statuses(product, "server", Origin="https://evil.example") == [200], "no list: any origin"


async def test_nobody_fills_the_house_with_accounts_through_a_public_key(product: Product) -> None:
    await issued(product, "crowded")
    await product.accepted([track("honest", "ann", "Feature Used")])
    await product.appears("honest")
    answers = [
        await product.post([track(f"bogus-{post}-{n}", "bot", "X") for n in range(100)], "crowded")
        for post in range(40)
    ]
    meanwhile = await product.post([track("honest", "ann", "Feature Used")], "crowded")
    await product.accepted([track(f"new-customer-{n}", "bob", "Feature Used") for n in range(50)])

    taken = sum(answer.status_code == 200 for answer in answers) * 100
    assert 0 < taken <= ACCOUNTS_AN_HOUR * 1.5, "a full bucket, and what flowed in while the test ran"
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["retry-after"].isdecimal()
    assert {"code", "message"} <= refused.json().keys()
    assert meanwhile.status_code == 200, "whoever is known goes on"
    await product.appears("new-customer-49")


async def test_a_source_that_posts_more_than_its_rate_is_told_when_to_come_again_and_no_other_is(
    product: Product,
) -> None:
    await issued(product, "busy", rates={"events_per_minute": 50})
    posts = [await product.post([track("acme", "ann", "X") for _ in range(50)], "busy") for _ in range(3)]
    assert posts[0].status_code == 200
    assert posts[2].status_code == 429
    assert 0 < int(posts[2].headers["retry-after"]) <= 120
    assert await statuses(product, "server", "browser") == [200, 200]


async def test_rates_and_times_of_a_live_key_are_changed_on_the_command_line_and_count_within_seconds(
    product: Product,
) -> None:
    made = await issued(product, "tightened")
    id_, late = made["id"], (SystemClock().now() - timedelta(days=40)).isoformat()
    await product.accepted([track("offline-before", "ann", "X", at=late)], "tightened")

    given = ("--rate", "events_per_minute=20", "--time", "days_back=60", "--origin", PAGES)
    await product.waymark("keys", "set", id_, *given)
    [row] = [line for line in (await product.waymark("keys", "list")).splitlines() if line.startswith(id_)]
    assert row.endswith(f"{PAGES}  events_per_minute=20 days_back=60")

    async def known() -> bool:
        return await statuses(product, "tightened", Origin="https://evil.example") == [403]

    await eventually(known)
    await product.accepted([track("offline-after", "ann", "X", at=late)], "tightened")
    posts = [await product.post([track("acme", "ann", "X") for _ in range(20)], "tightened") for _ in range(3)]
    assert posts[-1].status_code == 429
    await product.appears("offline-after")
    [row] = [one for one in (await product.get("/ingest/v1/corrected-times"))["items"] if one["source"] == "tightened"]
    assert (row["account"], row["count"]) == ("offline-before", 1), "once its key says so its late times are believed"
    [act] = (await product.get("/ingest/v1/audit", action="key_changed", subject=id_))["items"]
    assert act["details"]["events_per_minute"] == [None, 20]


async def test_what_stands_in_the_data_folder_is_its_owners_alone(product: Product) -> None:
    ours = [file for file in product.data.iterdir() if file.is_file() and file.name != "log"]
    assert product.settings.embedded <= ("waymark.db" in {file.name for file in ours})
    assert {file.name: file.stat().st_mode & 0o077 for file in ours} == {file.name: 0 for file in ours}


async def test_a_key_that_was_named_write_is_believed_and_said_to_be_a_servers(product: Product) -> None:
    said = (product.data / "log").read_text("utf8")
    assert "write key (write-source, default) is believed as a server's: keep it secret" in said
    await product.accepted([group("of-write", "ann", mrr=7)], "write")
    await product.appears("of-write")
    await product.settle()
    assert (await product.account("of-write"))["metrics"]["mrr"] == 7


FOR_ADMINS = {"/ingest/v1/audit", "/ingest/v1/keys"}
"""What is only to be seen by them; whatever changes something is theirs anyway."""
FOR_SERVERS = {"/notify/v1/feedback", "/notify/v1/feedback/mail"}
WITHOUT_A_KEY = {"health", "unsubscribe"}
"""Tags of what everybody may ask: probes, and pages behind a signed link."""


async def resources(product: Product) -> AsyncIterator[tuple[str, str]]:
    """Method and path of everything that the services say they have."""
    for service in SERVICES[:4]:
        for path, methods in (await product.get(f"/{service}/openapi.json"))["paths"].items():
            for method, told in methods.items():
                if not WITHOUT_A_KEY & {*told.get("tags", [])}:
                    yield method.upper(), f"/{service}{re.sub('{[^}]+}', 'x', path)}"


async def test_every_resource_asks_for_a_key_of_its_kind(product: Product) -> None:
    """SECURITY.md, Who reaches what with which key."""
    product.keys["nobody"] = "a key that nobody issued"
    found = [one async for one in resources(product)]
    assert {path for _, path in found} >= FOR_ADMINS | FOR_SERVERS
    for method, path in found:
        refused = {None: 401, "nobody": 401, "browser": 403, "import": 403}
        if path not in FOR_SERVERS:
            refused |= {"server": 403, "write": 403}
        if method != "GET" or path in FOR_ADMINS | FOR_SERVERS:
            refused["read"] = 403
        answers = {kind: (await product.call(method, path, kind)).status_code for kind in refused}
        assert answers == refused, (method, path)


async def test_nobody_fills_an_account_with_people_through_a_public_key(product: Product) -> None:
    await issued(product, "peopled")
    posts = [
        await product.post([track("acme", f"bot-{post}-{n}", "X") for n in range(1000)], "peopled")
        for post in range(20)
    ]
    taken = sum(answer.status_code == 200 for answer in posts) * 1000
    assert 0 < taken <= CONTACTS_AN_HOUR * 1.5
    assert {answer.status_code for answer in posts} == {200, 429}


async def test_no_write_key_is_found_in_what_is_stored_shown_or_logged(product: Product) -> None:
    await issued(product, "told-once")
    for kind in ("browser", "server", "import", "told-once"):
        key = product.keys[kind]
        event = track(f"of-{kind}", "ann", "X", page=f"https://x.example/?writeKey={key}")
        bad = {"type": "nonsense", "userId": "u", "writeKey": key}
        bodies = {
            "/v1/batch": {"batch": [event | {"writeKey": key}, bad], "writeKey": key},
            f"/v1/track?writeKey={key}": event | {"messageId": "single", "writeKey": key},
            "/v1/nothing": {"writeKey": key},
        }
        for path, body in bodies.items():
            await product.http.post(path, json=body)
        await product.appears(f"of-{kind}")
    await product.settle()
    parked = [(await product.call("GET", f"/{service}/v1/parked")).text for service in ("ingest", "lifecycle")]
    assert "nonsense" in parked[0]
    found = files(product.data)
    assert "log" in found
    for content in (*found.values(), *map(str.encode, parked)):
        assert not any(key.encode() in content for key in product.keys.values())


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


async def test_who_has_no_key_costs_little_and_nobody_else_waits(product: Product) -> None:
    bomb = gzip.compress(bytes(19 * 1024 * 1024), 9)

    async def knock(client: httpx2.AsyncClient) -> int:
        return (await client.post("/v1/batch", content=bomb)).status_code

    knocks = await asyncio.gather(*(knock(product.http) for _ in range(20)))
    assert set(knocks) <= {401, 429}
    assert knocks.count(401) <= 4, "64 MiB a minute are inflated for nobody"
    with_unknown_key = await product.http.post("/v1/batch", content=bomb, auth=("nobody-knows-this-key", ""))
    assert with_unknown_key.status_code == 401
    await product.accepted([track("acme", "ann", "X")], "server")
    await product.accepted([track("acme", "ann", "X")], "browser")
