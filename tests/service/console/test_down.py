"""Pages while a service does not answer, or answers with something unexpected."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.servers.ports import free_port
from services.console.effects import Choices, ServiceClient, Services
from tests.conftest import embedded
from tests.make import FakeClock
from tests.service.console.make import StubServices, browser, console_alone, site

PAGES = (
    "",
    "accounts",
    "accounts/x",
    "outbox",
    "outbox/x",
    "mode",
    "tasks",
    "plays",
    "stages",
    "surveys",
    "surveys/nps",
    "audit",
    "referrals",
    "advocates",
    "ledger",
    "parked",
    "not-counted",
    "health",
)
ODD: tuple[Any, ...] = (
    [],
    {},
    None,
    "x",
    7,
    {"items": None},
    {"items": [1, None, {}]},
    {"items": {"a": 1}, "stages": 3},
    [{"id": 5, "flags": "x", "score": "high", "groups": [], "name": ["x"], "at": 3, "next": {}}],
    {"stages": [{}], "health": 3, "next": [{"clauses": 7}], "traits": [], "metrics": "x", "milestones": None},
    {"checks": [], "lag": 3, "mode": [], "html": 3, "text": {}, "balances": {}, "items": [{"rewards": 3, "groups": 3}]},
)


async def test_pages_of_services_that_are_down_say_so(tmp_path: Path):
    settings = embedded(tmp_path)
    async with site(settings, ["lifecycle", "console"]) as running, browser(running, settings) as lonely:
        await lonely.signed_in()
        for page in ("outbox", "tasks", "surveys", "referrals", "parked", "health"):
            assert "not available" in await lonely.page(f"/console/{page}")
        overview = await lonely.page("/console/")
    assert "not available" in overview
    assert "Funnel" in overview


async def test_with_every_service_gone_every_page_still_answers(tmp_path: Path):
    nowhere = f"http://127.0.0.1:{free_port()}"
    urls = {f"{name}_url": nowhere for name in ("ingest", "lifecycle", "notify", "advocacy")}
    async with console_alone(embedded(tmp_path).model_copy(update=urls)) as http:
        for page in PAGES:
            answer = await http.get(f"/console/{page}")
            assert answer.status_code == 200
            assert "does not answer" in answer.text
        failed = await http.post("/console/mode", data={"mode": "live"})
    assert failed.status_code == 503
    assert "It was not done" in failed.text


@pytest.mark.parametrize("odd", ODD, ids=str)
async def test_answers_that_are_not_as_expected_never_break_a_page(tmp_path: Path, odd: Any):
    settings = embedded(tmp_path)
    async with console_alone(settings, StubServices(settings, odd)) as http:
        for page in PAGES:
            answer = await http.get(f"/console/{page}")
            assert answer.status_code == 200, page


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_what_a_service_answers_instead_stands_on_the_page(tmp_path: Path, status: int):
    settings = embedded(tmp_path)
    async with console_alone(settings, StubServices(settings, {"detail": "<not now>"}, status)) as http:
        for page in PAGES:
            answer = await http.get(f"/console/{page}")
            assert answer.status_code == 200, page
            assert "&lt;not now&gt;" in answer.text, page


async def test_what_filters_offer_is_believed_for_a_minute_and_a_failure_is_not_kept(tmp_path: Path):
    clock = FakeClock()
    choices, asked = Choices(clock), list[int]()

    def answered(_: httpx2.Request) -> httpx2.Response:
        asked.append(1)
        return httpx2.Response(503 if len(asked) == 1 else 200, json={"owners": {"Kim": len(asked)}})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answered)) as http:
        services = ServiceClient(http, Services(embedded(tmp_path)).urls)
        assert (await choices.get(services, "/lifecycle/v1/portfolio")).problem
        for _ in range(2):
            assert (await choices.get(services, "/lifecycle/v1/portfolio")).fields == {"owners": {"Kim": 2}}
        clock.move(timedelta(minutes=1))
        assert (await choices.get(services, "/lifecycle/v1/portfolio")).fields == {"owners": {"Kim": 3}}


async def test_what_somebody_should_look_at_stands_on_the_health_page(tmp_path: Path):
    settings = embedded(tmp_path)
    told = {"status": "ready", "checks": {"database": "ok"}, "notices": {"approval": "12 messages wait"}}
    async with console_alone(settings, StubServices(settings, told)) as http:
        assert "12 messages wait" in (await http.get("/console/health")).text
