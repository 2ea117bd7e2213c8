"""Authentication of the console: who gets in, and the headers of every answer."""

from pathlib import Path

import httpx2
import pytest

from tests.conftest import embedded
from tests.service.console.make import ADMIN, Browser, console_alone

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGES = (
    "",
    "accounts",
    "accounts/x",
    "outbox",
    "outbox/x",
    "mode",
    "tasks",
    "surveys",
    "referrals",
    "parked",
    "health",
)


async def test_every_page_asks_whoever_is_not_signed_in_for_a_key(visitor: Browser):
    for page in PAGES:
        answer = await visitor.http.get(f"/console/{page}")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/console/sign-in")


async def test_a_key_that_is_not_known_or_only_writes_does_not_get_in(visitor: Browser):
    for key in ("nonsense", "", visitor.keys.write, visitor.keys.secret):
        answer = await visitor.post("/console/sign-in", key=key)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert "not known here" in answer.text


async def test_a_read_key_gets_in_sees_no_buttons_and_changes_nothing(visitor: Browser):
    reader = await visitor.signed_in("read")
    assert "Go live" not in await reader.page("/console/outbox")
    refused = await reader.post("/console/mode", mode="live")
    assert refused.status_code == 403
    assert (await reader.services.get("/notify/v1/mode"))["mode"] == "preview"


async def test_after_signing_in_one_is_where_one_wanted_to_be(visitor: Browser):
    sent = await visitor.http.get("/console/accounts?flag=at_risk")
    form = await visitor.page(sent.headers["location"])
    assert 'value="/console/accounts?flag=at_risk"' in form
    answer = await visitor.post("/console/sign-in", key=visitor.keys.admin, next="/console/accounts?flag=at_risk")
    assert answer.headers["location"] == "/console/accounts?flag=at_risk"


@pytest.mark.parametrize(
    "away", ["https://evil.example/", "//evil.example", "/console/\\evil", "/lifecycle/", "javascript:x"]
)
async def test_signing_in_never_leads_away(visitor: Browser, away: str):
    answer = await visitor.post("/console/sign-in", key=visitor.keys.admin, next=away)
    assert answer.headers["location"] == "/console/"


async def test_the_cookie_is_out_of_reach_and_leaves_no_trace_of_the_key_in_a_page(visitor: Browser):
    answer = await visitor.post("/console/sign-in", key=visitor.keys.admin)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/console" in cookie
    assert "max-age=43200" in cookie
    assert visitor.keys.admin not in await visitor.page("/console/")


async def test_a_changed_cookie_does_not_get_in(admin: Browser):
    cookie = admin.http.cookies["waymark_console"]
    for forged in (cookie[:-1] + ("A" if cookie[-1] != "A" else "B"), cookie.lower(), f"{cookie}x", "x", ""):
        async with httpx2.AsyncClient(
            base_url=admin.services.url, cookies={"waymark_console": forged}, timeout=60
        ) as thief:
            assert (await thief.get("/console/")).status_code == 303


async def test_signing_out_ends_the_session_wherever_its_cookie_is(admin: Browser):
    cookie = admin.http.cookies["waymark_console"]
    await admin.post("/console/sign-out")
    assert (await admin.http.get("/console/")).status_code == 303
    async with httpx2.AsyncClient(
        base_url=admin.services.url, cookies={"waymark_console": cookie}, timeout=60
    ) as thief:
        assert (await thief.get("/console/")).status_code == 303


async def test_the_ready_link_signs_in_and_leaves_the_key_out_of_the_address(visitor: Browser):
    answer = await visitor.http.get("/console/enter", params={"key": visitor.keys.admin})
    assert answer.headers["location"] == "/console/"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "Overview" in await visitor.page("/console/")


async def test_the_ready_link_works_on_loopback_only(tmp_path: Path):
    async with console_alone(embedded(tmp_path).model_copy(update={"host": "0.0.0.0"})) as http:  # noqa: S104
        answer = await http.get(f"/console/enter?key={ADMIN}")
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_a_form_from_elsewhere_does_nothing(admin: Browser):
    for headers in ({}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
        answer = await admin.http.post("/console/mode", data={"mode": "live"}, headers=headers)
        assert answer.status_code == 403
    assert (await admin.services.get("/notify/v1/mode"))["mode"] == "preview"


async def test_every_answer_carries_the_strict_policy(admin: Browser):
    for path in ("/console/", "/console/sign-in", "/console/nowhere", "/console/style.css", "/console/accounts/none"):
        headers = (await admin.http.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


async def test_a_link_from_elsewhere_turns_to_itself_once_so_that_the_strict_cookie_comes_along(visitor: Browser):
    elsewhere = await visitor.http.get("/console/sign-in?next=/console/tasks", headers={"Sec-Fetch-Site": "cross-site"})
    assert 'http-equiv="refresh"' in elsewhere.text
    again = await visitor.http.get("/console/sign-in?next=/console/tasks", headers={"Sec-Fetch-Site": "same-origin"})
    assert 'http-equiv="refresh"' not in again.text
