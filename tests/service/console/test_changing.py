"""Changes from the console: only forms of an admin change anything, looking never does."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import embedded
from tests.service.console.make import BOB, Browser, StubServices, address, console_alone

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def everything(admin: Browser) -> list[Any]:
    paths = ("lifecycle/v1/accounts", "notify/v1/outbox", "notify/v1/mode", "advocacy/v1/surveys", "ingest/v1/parked")
    return [await admin.services.get(f"/{path}") for path in paths]


async def test_looking_at_every_page_changes_nothing(admin: Browser):
    before = await everything(admin)
    for page in ("", "accounts", "outbox", "mode?to=live", "tasks", "surveys", "referrals", "parked", "health"):
        await admin.page(f"/console/{page}")
    await admin.page(address(BOB))
    assert await everything(admin) == before


async def test_what_a_form_does_cannot_be_done_by_a_link(admin: Browser):
    for path in ("outbox/x/release", "tasks/x/done", "parked/redrive", "sign-out"):
        assert (await admin.http.get(f"/console/{path}")).status_code in {404, 405}


async def test_an_admin_goes_live_after_a_question_and_back(admin: Browser):
    question = await admin.page("/console/mode?to=live")
    assert "Go live?" in question
    assert (await admin.services.get("/notify/v1/mode"))["mode"] == "preview"
    assert (await admin.post("/console/mode", mode="live")).headers["location"] == "/console/outbox"
    assert "messages leave the house" in await admin.page("/console/outbox")
    await admin.post("/console/mode", mode="preview")
    assert "nothing is sent" in await admin.page("/console/")


async def test_a_parked_record_is_shown_with_its_reason_and_tried_again(admin: Browser):
    [parked] = (await admin.services.get("/ingest/v1/parked"))["items"]
    text = await admin.page("/console/parked")
    assert parked["reason"].replace("_", " ") in text
    assert (await admin.post("/console/parked/redrive", ids=[parked["id"]])).status_code == 303
    await admin.services.wait_until_idle()


async def test_what_the_service_refuses_is_said(admin: Browser):
    answer = await admin.post("/console/parked/redrive")
    assert "It was not done" in answer.text
    answer = await admin.post("/console/outbox/nothing/release")
    assert answer.status_code == 404
    assert "no such delivery" in answer.text


@pytest.mark.parametrize(("history", "releasable"), [(False, True), (True, False)])
async def test_a_delivery_shows_its_text_and_frames_its_html(tmp_path: Path, history: bool, releasable: bool):
    mail = {"status": "previewed", "subject": "Hi & hello", "text": "a <b>", "html": "<p>a", "history": history}
    settings = embedded(tmp_path)
    async with console_alone(settings, StubServices(settings, mail)) as http:
        text = (await http.get("/console/outbox/d%2F1")).text
        framed = await http.get("/console/outbox/d1/mail")
        listed = await http.get("/console/outbox/d1")
    assert "Nothing here" in text
    assert "Hi &amp; hello" in listed.text
    assert "a &lt;b&gt;" in listed.text
    assert '<iframe class="mail" title="The mail as it looks" sandbox="" src="/console/outbox/d1/mail">' in listed.text
    assert ("Release</button>" in listed.text) is releasable
    assert framed.text == "<p>a"
    assert framed.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


async def test_releasing_and_closing_ask_notify_and_come_back(tmp_path: Path):
    settings = embedded(tmp_path)
    async with console_alone(settings, StubServices(settings, {"status": "pending"})) as http:
        released = await http.post("/console/outbox/d1/release")
        closed = await http.post("/console/tasks/t1/done")
        mine = await http.post("/console/tasks/t1/done", data={"back": "/console/tasks?owner=%40me&q=a%26b"})
        away = await http.post("/console/tasks/t1/done", data={"back": "https://evil.example/console/"})
    assert released.headers["location"] == "/console/outbox/d1"
    assert closed.headers["location"] == "/console/tasks"
    assert mine.headers["location"] == "/console/tasks?owner=%40me&q=a%26b"
    assert away.headers["location"] == "/console/"


async def test_going_live_lists_what_is_missing_and_offers_no_button_then(tmp_path: Path):
    missing = {"name": "public_url", "problem": "links lead to this machine", "remedy": "Set WAYMARK_PUBLIC_URL"}
    settings = embedded(tmp_path)
    answer = {"mode": "preview", "ready": False, "findings": [missing | {"blocks": True}]}
    async with console_alone(settings, StubServices(settings, answer)) as http:
        refused = (await http.get("/console/mode?to=live")).text
    answer = {"mode": "preview", "ready": True, "findings": [missing | {"blocks": False}]}
    async with console_alone(settings, StubServices(settings, answer)) as http:
        offered = (await http.get("/console/mode?to=live")).text
    assert "links lead to this machine. Set WAYMARK_PUBLIC_URL" in refused
    assert "Go live</button>" not in refused
    assert "does not stop you" in offered
    assert "Go live</button>" in offered


async def test_the_outbox_says_that_the_rest_waits_and_an_admin_lets_it_go(tmp_path: Path):
    settings = embedded(tmp_path)
    answer = {"mode": "live", "needed": True, "limit": 50, "waiting": 7, "items": []}
    async with console_alone(settings, StubServices(settings, answer)) as http:
        shown = (await http.get("/console/outbox")).text
        approved = await http.post("/console/approval")
    assert "The first 50 messages have left, 7 more wait." in shown
    assert "Approve the rest</button>" in shown
    assert approved.headers["location"] == "/console/outbox"


async def test_what_failed_can_be_sent_again_and_nothing_else(tmp_path: Path):
    settings = embedded(tmp_path)
    for status, offered in (("failed", True), ("unknown", False), ("sent", False)):
        async with console_alone(settings, StubServices(settings, {"status": status, "history": False})) as http:
            assert ("Send again</button>" in (await http.get("/console/outbox/d1")).text) is offered
            again = await http.post("/console/outbox/d1/redrive")
    assert again.headers["location"] == "/console/outbox/d1"


async def test_an_admin_lets_a_reward_out_and_notes_that_it_was_paid_but_none_of_history(tmp_path: Path):
    settings = embedded(tmp_path)
    for status, history, offered in (
        ("pending", False, "Let out"),
        ("payable", False, "Was paid"),
        ("held", False, ""),
        ("pending", True, ""),
    ):
        reward = {
            "id": "r1",
            "side": "referrer",
            "amount": 5000,
            "currency": "EUR",
            "status": status,
            "history": history,
        }
        answer = {"items": [{"referred": "a", "code": "c", "rewards": [reward]}], "total": 1}
        async with console_alone(settings, StubServices(settings, answer)) as http:
            text = (await http.get("/console/referrals?status=converted")).text
            moved = await http.post(
                "/console/rewards/r1", data={"move": "pay", "back": "/console/referrals?status=converted"}
            )
            refused = await http.post("/console/rewards/r1", data={"move": "reverse"})
        assert [label for label in ("Let out", "Was paid") if f">{label}</button>" in text] == [offered][
            : bool(offered)
        ]
        assert ('value="/console/referrals?status=converted"' in text) is bool(offered)
        assert moved.headers["location"] == "/console/referrals?status=converted"
        assert refused.status_code == 422
