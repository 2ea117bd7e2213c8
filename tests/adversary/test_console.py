"""The console and the OpenAPI pages, as somebody finds them who knows their addresses and no key."""

import asyncio
import base64
import hmac
import os
import pwd
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
import pytest_asyncio

from tests.adversary.product import SERVICES, Product, identify, running, track
from tests.conftest import Deployment, embedded
from tests.make import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITH_REST = SERVICES[:4]
SIGNING = "a secret that the provider signs with"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """As it comes: no setting of its own."""
    async with running(embedded(tmp_path_factory.mktemp("open"))) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """Docs and metrics behind a key, reports signed, and nobody has tried keys there but the tests of guessing."""
    settings = embedded(tmp_path_factory.mktemp("guarded"))
    variables = {"WAYMARK_PROTECT": "docs,metrics", "WAYMARK_FEEDBACK_SIGNATURES": f"header:X-Signature:{SIGNING}"}
    async with running(settings, variables=variables) as started:
        yield started


async def test_who_found_a_server_key_silences_nobody_where_a_provider_signs(guarded: Product) -> None:
    report = b'{"type": "complaint", "address": "ann@acme.test"}'
    signed = {"X-Signature": hmac.new(SIGNING.encode(), report, "sha256").hexdigest()}
    unsigned = await guarded.call("POST", "/notify/v1/feedback", "server", content=report)
    altered = await guarded.call("POST", "/notify/v1/feedback", "server", content=report + b" ", headers=signed)
    assert [(answer.status_code, answer.json()["code"]) for answer in (unsigned, altered)] == [(401, "unsigned")] * 2
    assert (await guarded.get("/notify/v1/suppressions"))["items"] == []
    taken = await guarded.call("POST", "/notify/v1/feedback", "server", content=report, headers=signed)
    assert taken.json()["suppressed"] == 1
    by_hand = await guarded.call("POST", "/notify/v1/feedback", "admin", content=report)
    assert by_hand.json()["known"] == 1, "an admin key is trusted by itself"


class Page(HTMLParser):
    """What a page loads, and what it would run or style by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get("src") or (given.get("href") if tag == "link" else None)
        if address:
            self.loads.append(address)
        elif tag in {"script", "style"}:
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


def policy_of(answer: httpx2.Response) -> dict[str, list[str]]:
    parts = [part.split() for part in answer.headers["content-security-policy"].split(";")]
    return {name: sources for name, *sources in parts}


@pytest.mark.parametrize("service", WITH_REST)
async def test_the_openapi_page_loads_nothing_from_another_host(product: Product, service: str) -> None:
    answer = await product.http.get(f"/{service}/docs")
    page = Page(answer.text)
    assert answer.status_code == 200
    assert len(page.loads) >= 3
    assert page.inline == []
    for address in page.loads:
        whole = urljoin(f"{product.url}/{service}/docs", address)
        assert urlsplit(whole).netloc == urlsplit(product.url).netloc
        loaded = await product.http.get(whole)
        assert (loaded.status_code, loaded.headers["x-content-type-options"]) == (200, "nosniff"), whole
    assert "SwaggerUIBundle" in (await product.http.get(urljoin(f"/{service}/", page.loads[2]))).text


@pytest.mark.parametrize("path", [f"/{service}/{page}" for service in WITH_REST for page in ("docs", "redoc")])
async def test_the_policy_of_an_openapi_page_names_no_host_and_lets_nothing_inline_run(
    product: Product, path: str
) -> None:
    answer = await product.http.get(path, follow_redirects=True)
    sources = {source for named in policy_of(answer).values() for source in named}
    assert sources <= {"'none'", "'self'", "data:"}
    assert policy_of(answer)["default-src"] == ["'none'"]
    assert policy_of(answer)["frame-ancestors"] == ["'none'"]
    assert "http" not in answer.text.replace('http-equiv="', "")


ANSWERS = [
    "/console/sign-in",
    "/console/nowhere",
    "/lifecycle/docs",
    "/lifecycle/openapi.json",
    "/notify/u/no-such-link",
    "/advocacy/s/no-such-link",
    "/advocacy/r/no-such-link",
    "/advocacy/c/no-such-code",
    "/notify/v1/outbox",
    "/lifecycle/nowhere",
    "/ingest/readyz",
]


@pytest.mark.parametrize("path", ANSWERS)
async def test_every_answer_is_framed_nowhere_guessed_at_by_no_browser_and_runs_nothing_inline(
    product: Product, path: str
) -> None:
    answer = await product.http.get(path)
    policy = policy_of(answer)
    assert policy["default-src"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert not {source for named in policy.values() for source in named if source.startswith("'unsafe")}
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", [path for path in ANSWERS if path.startswith(("/notify/u", "/advocacy"))])
async def test_an_address_with_a_link_in_it_is_told_to_nobody(product: Product, path: str) -> None:
    answer = await product.http.get(path)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


CLOSED = [f"/{name}/metrics" for name in SERVICES] + [
    f"/{name}/{page}" for name in WITH_REST for page in ("docs", "docs/swagger-ui.css", "openapi.json")
]


@pytest.mark.parametrize("path", CLOSED)
async def test_docs_and_metrics_are_open_as_ever_and_closed_where_a_setting_says_so(
    product: Product, guarded: Product, path: str
) -> None:
    assert (await product.call("GET", path, None)).status_code == 200
    refused = await guarded.call("GET", path, None)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert "openapi" not in refused.text
    assert "waymark_" not in refused.text


async def test_prometheus_and_a_browser_bring_the_key_in_their_own_ways(guarded: Product) -> None:
    def basic(key: str) -> dict[str, str]:
        return {"Authorization": f"Basic {base64.b64encode(f'prometheus:{key}'.encode()).decode()}"}

    async def status(path: str, headers: dict[str, str]) -> int:
        return (await guarded.call("GET", path, None, headers=headers)).status_code

    for path in ("/lifecycle/metrics", "/console/metrics", "/lifecycle/docs"):
        assert await status(path, {"Authorization": f"Bearer {guarded.keys['read']}"}) == 200
        assert await status(path, basic(guarded.keys["admin"])) == 200
        assert await status(path, basic(guarded.keys["browser"])) == 403
        assert await status(path, basic("of somebody who guesses")) == 401
        assert await status(path, {"Authorization": "Basic ###"}) == 401
    assert await status("/lifecycle/v1/accounts", basic(guarded.keys["admin"])) == 401
    assert await status("/lifecycle/readyz", {}) == 200


@asynccontextmanager
async def browser(product: Product, address: str = "198.51.100.1", **cookies: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody before the console; `address` is theirs, as a reverse proxy on this machine tells it."""
    headers = {"Origin": product.url, "X-Forwarded-For": address}
    async with httpx2.AsyncClient(base_url=product.url, headers=headers, cookies=cookies, timeout=60) as http:
        yield http


async def try_key(http: httpx2.AsyncClient, key: str) -> httpx2.Response:
    return await http.post("/console/sign-in", data={"key": key})


async def signed_in(http: httpx2.AsyncClient, key: str) -> str:
    """Sign in: the cookie's value."""
    answer = await try_key(http, key)
    assert answer.status_code == 303, answer.text
    return str(http.cookies["waymark_console"])


async def is_open(http: httpx2.AsyncClient) -> bool:
    return (await http.get("/console/tasks")).status_code == 200


def unwrapped(text: str) -> bytes:
    """A text, and whatever a reader of base64 makes of each piece of it."""
    pieces = [text, *text.replace("%22", "").split(".")]
    return b" ".join(
        [text.encode()]
        + [base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4)) for piece in pieces if len(piece) % 4 != 1]
    )


async def test_the_cookie_says_nothing_and_neither_it_nor_the_key_is_in_the_database(product: Product) -> None:
    async with browser(product) as http:
        cookie = await signed_in(http, product.keys["admin"])
        other = await signed_in(http, product.keys["admin"])
        await http.get("/console/tasks")
    assert cookie != other
    assert product.keys["admin"].encode() not in unwrapped(cookie)
    stored = b"".join(file.read_bytes() for file in product.data.glob("waymark.db*"))
    assert len(stored) > 10_000
    assert cookie.encode() not in stored
    assert product.keys["admin"].encode() not in stored


async def test_a_cookie_is_worth_nothing_after_signing_out_and_nothing_anywhere_else(product: Product) -> None:
    async with browser(product) as http:
        cookie = await signed_in(http, product.keys["admin"])
        for credentials in ({"Authorization": f"Bearer {cookie}"}, {"Cookie": f"waymark_console={cookie}"}):
            answer = await product.call("GET", "/lifecycle/v1/accounts", None, headers=credentials)
            assert answer.status_code == 401
        async with browser(product, waymark_console=cookie) as thief:
            assert await is_open(thief)
            await http.post("/console/sign-out")
            assert not await is_open(thief)


async def test_signing_out_everywhere_ends_the_sessions_of_this_key_and_of_no_other(product: Product) -> None:
    async with browser(product) as one, browser(product) as two, browser(product) as reader:
        for http, kind in ((one, "admin"), (two, "admin"), (reader, "read")):
            await signed_in(http, product.keys[kind])
        await one.post("/console/sign-out", data={"everywhere": "true"})
        assert [await is_open(http) for http in (one, two, reader)] == [False, False, True]


async def test_who_signs_in_anew_leaves_no_session_behind(product: Product) -> None:
    async with browser(product) as http:
        before = await signed_in(http, product.keys["admin"])
        await signed_in(http, product.keys["read"])
        async with browser(product, waymark_console=before) as thief:
            assert not await is_open(thief)


async def test_an_admin_ends_a_session_from_another(product: Product) -> None:
    async with browser(product) as stolen, browser(product) as admin:
        await signed_in(stolen, product.keys["read"])
        await signed_in(admin, product.keys["admin"])
        shown = (await admin.get("/console/sessions")).text
        for one in [part.split("/")[0] for part in shown.split('action="/console/sessions/')[1:]]:
            assert (await admin.post(f"/console/sessions/{one}/end")).status_code == 303
        assert [await is_open(http) for http in (stolen, admin)] == [False, True]


async def test_a_reader_ends_nobody_elses_session(product: Product) -> None:
    async with browser(product) as admin, browser(product) as other, browser(product) as reader:
        for http in (admin, other):
            await signed_in(http, product.keys["admin"])
        await signed_in(reader, product.keys["read"])
        await reader.post("/console/sign-out", data={"everywhere": "true"})  # those of its own key it may end
        shown = (await other.get("/console/sessions")).text  # which offers to end all but its own
        ids = [part.split("/")[0] for part in shown.split('action="/console/sessions/')[1:]]
        assert ids
        await signed_in(reader, product.keys["read"])
        for one in ids:
            assert (await reader.post(f"/console/sessions/{one}/end")).status_code == 404
        assert await is_open(admin)
        assert await is_open(reader), "it ended none of its own either"
        assert "admin-source" not in (await reader.get("/console/sessions")).text


async def test_sessions_and_spent_guesses_outlive_a_restart_and_a_session_ends_with_its_key(
    deployment: Deployment,
) -> None:
    """What a restart does not forget another replica knows: it stands in the database. An attempt comes back every thirty seconds."""
    now = asyncio.get_running_loop().time
    began = now()
    async with running(deployment.settings) as product, browser(product) as http:
        async with browser(product, "203.0.113.77") as guesser:
            guesses = [(await try_key(guesser, f"guess number {number}")).status_code for number in range(5)]
        assert guesses[0] == 401
        assert set(guesses) <= {401, 429}
        made = await product.call("POST", "/ingest/v1/keys", json={"kind": "admin", "name": "ops"})
        assert made.status_code == 201, made.text
        cookie = await signed_in(http, made.json()["key"])
        assert await is_open(http)
    async with running(deployment.settings) as product, browser(product, waymark_console=cookie) as http:
        async with browser(product, "203.0.113.77") as guesser:
            more = [(await try_key(guesser, f"guess number {number}")).status_code for number in range(5)]
        tried = (*guesses, *more).count(401)
        assert tried <= 5 + (now() - began) / 30
        assert (await http.get("/console/outbox")).status_code == 200
        assert "not available" not in (await http.get("/console/outbox")).text
        revoked = await product.call("POST", f"/ingest/v1/keys/{made.json()['id']}/revoke")
        assert revoked.status_code == 200, revoked.text
        assert not await is_open(http)


async def test_who_guesses_keys_is_stopped_and_told_so_and_nobody_else_is(guarded: Product) -> None:
    async with browser(guarded, "203.0.113.107") as guesser, browser(guarded, "203.0.113.108") as other:
        answers = [await try_key(guesser, f"guess number {number}") for number in range(12)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 7
        assert 0 < int(answers[-1].headers["retry-after"]) <= 30
        assert "Too many keys were tried from 203.0.113.107" in answers[-1].text
        assert (await try_key(guesser, guarded.keys["admin"])).status_code == 429
        assert (await guesser.get("/console/enter", params={"key": guarded.keys["admin"]})).status_code == 429
        await signed_in(other, guarded.keys["admin"])


async def test_guesses_from_everywhere_are_stopped_too_but_not_those_who_work_here(guarded: Product) -> None:
    async with browser(guarded, "192.0.2.99") as regular:
        await signed_in(regular, guarded.keys["admin"])
    statuses = []
    for number in range(80):
        async with browser(guarded, f"203.0.113.{number}") as guesser:
            statuses.append((await try_key(guesser, f"guess number {number}")).status_code)
    assert statuses[:50] == [401] * 50
    assert 429 in statuses
    async with browser(guarded, "203.0.113.200") as stranger, browser(guarded, "192.0.2.99") as regular:
        more = iter(range(1, 250))

        async def is_stopped() -> bool:
            """An attempt comes back every two seconds: on a slow machine it may be the stranger's."""
            async with browser(guarded, f"198.18.0.{next(more)}") as guesser:
                await try_key(guesser, "another guess")
            return (await try_key(stranger, guarded.keys["admin"])).status_code == 429

        await eventually(is_stopped)
        await signed_in(regular, guarded.keys["admin"])


async def test_an_address_that_only_the_visitor_tells_is_not_believed(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = embedded(tmp_path_factory.mktemp("direct"))
    async with running(settings, variables={"WAYMARK_TRUSTED_PROXIES": "203.0.113.250"}) as product:
        statuses = []
        for number in range(8):
            async with browser(product, f"203.0.113.{number}") as guesser:
                statuses.append((await try_key(guesser, f"guess number {number}")).status_code)
        assert statuses == [401] * 5 + [429] * 3


async def test_what_is_done_on_the_command_line_leaves_a_record_of_the_machines_user(
    product: Product, tmp_path: Path
) -> None:
    who = pwd.getpwuid(os.getuid()).pw_name
    await product.waymark("outbox", "approve")
    await product.waymark("backup", str(tmp_path / "one.backup"))
    approved = (await product.get("/ingest/v1/audit", action="sends_approved"))["items"][0]
    made = (await product.get("/ingest/v1/audit", action="backup_made"))["items"][0]
    assert approved["actor"] == "admin-source"
    assert approved["details"]["operator"].startswith(f"{who} (uid ")
    assert (made["actor"], made["subject"]) == ("command line", str(tmp_path / "one.backup"))
    assert made["address"].startswith(f"{who} (uid ")

    elsewhere = embedded(tmp_path / "restored")
    restored = Product("http://127.0.0.1:1", product.http, product.mailbox, elsewhere, product.config)
    await restored.waymark("restore", str(tmp_path / "one.backup"))
    with closing(sqlite3.connect(elsewhere.data / "waymark.db")) as read:
        acts = read.execute("SELECT action, actor, address FROM access_audit ORDER BY at DESC LIMIT 1").fetchall()
    assert [(action, actor, address.split()[0]) for action, actor, address in acts] == [
        ("backup_restored", "command line", who)
    ]
    forged = {"X-Waymark-Operator": "x" * 400}
    await product.call("PUT", "/notify/v1/mode", json={"mode": "preview"}, headers=forged)
    [act] = (await product.get("/ingest/v1/audit", action="mode_set", limit=1))["items"]
    assert (act["actor"], len(act["details"]["operator"])) == ("admin-source", 200), (
        "said beside the key, not in its place"
    )


async def test_every_act_leaves_a_record_of_who_did_it_when_and_from_where(product: Product) -> None:
    await product.accepted([identify("acme", "ann", email="ann@acme.test"), track("acme", "ann", "Signed Up")])
    await product.settle()
    async with browser(product, "192.0.2.33") as http:
        await signed_in(http, product.keys["admin"])
        await http.post("/console/mode", data={"mode": "live"})
        await http.post("/console/sign-out")
    assert (await product.call("PUT", "/notify/v1/mode", json={"mode": "preview"})).status_code == 200
    made = (await product.call("POST", "/ingest/v1/keys", json={"kind": "read", "name": "auditor"})).json()
    await product.call("POST", f"/ingest/v1/keys/{made['id']}/revoke")
    unheard = {"account": "acme", "user": "ann", "topic": "*", "granted": False}
    assert (await product.call("PUT", "/notify/v1/consents", json=unheard)).status_code == 200
    assert (await product.call("POST", "/notify/v1/outbox/none/release")).status_code == 404

    answer = await product.get("/ingest/v1/audit", limit=7)
    told = [(one["action"], one["subject"], one["address"], bool(one["session"])) for one in reversed(answer["items"])]
    session = told[0][1]
    assert told == [
        ("session_started", session, "192.0.2.33", True),
        ("mode_set", "live", "192.0.2.33", True),
        ("session_ended", session, "192.0.2.33", True),
        ("mode_set", "preview", "127.0.0.1", False),
        ("key_created", made["id"], "127.0.0.1", False),
        ("key_revoked", made["id"], "127.0.0.1", False),
        ("consent_recorded", "ann", "127.0.0.1", False),
    ]
    assert {one["actor"] for one in answer["items"]} == {"admin-source"}
    assert {one["key"] for one in answer["items"]} == {"settings:admin:admin-source"}
    assert made["key"] not in str(answer)


async def test_the_audit_log_is_for_admins_and_shown_in_the_console(product: Product) -> None:
    assert (await product.call("GET", "/ingest/v1/audit", "read")).status_code == 403
    assert (await product.call("GET", "/ingest/v1/audit", None)).status_code == 401
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await product.call(method, "/ingest/v1/audit")).status_code == 405
    async with browser(product, "192.0.2.34") as http:
        await signed_in(http, product.keys["admin"])
        page = (await http.get("/console/audit?action=session_started")).text
    assert "192.0.2.34" in page
    assert "admin-source" in page
