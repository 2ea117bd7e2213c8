"""Builders for the console's tests: a browser with cookies and an origin, running services, and stubs of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2
from starlette.applications import Starlette
from starlette.routing import Mount

from services.console.effects import ServiceClient, Services
from services.console.wiring import wire
from shared.clock import SystemClock
from shared.keys import Credentials, Keys, credentials
from shared.service.context import ServiceContext
from shared.settings import Settings
from shared.storage import open_access
from tests.journey.services import RunningServices, run_services
from tests.make import group, track
from waymark.migrations import migrate_access

HOSTILE = "a/<script>alert(1)</script>?x=1#\"'&"
FORMULA = '=HYPERLINK("evil.example")'
SLY = "<img src=x>?y=%2F#z\"'&.."
BOB = "bob & sons"
ADMIN = "wm_admin_0123456789abcdef"


class Browser(NamedTuple):
    """A person at the console of running services."""

    services: RunningServices
    keys: Credentials
    http: httpx2.AsyncClient

    async def signed_in(self, kind: str = "admin") -> "Browser":
        answer = await self.post("/console/sign-in", key=getattr(self.keys, kind))
        assert answer.status_code == 303, answer.text
        return self

    async def page(self, path: str, status: int = 200) -> str:
        answer = await self.http.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    async def post(self, path: str, origin: str | None = None, **fields: Any) -> httpx2.Response:
        return await self.http.post(path, data=fields, headers={"Origin": origin or self.services.url})


@asynccontextmanager
async def site(settings: Settings, names: list[str] | None = None) -> AsyncIterator[RunningServices]:
    """The embedded services, with some accounts when all of them run."""
    async with run_services(settings, names) as running:
        if names is None:
            await seed_accounts(running)
        yield running


@asynccontextmanager
async def browser(running: RunningServices, settings: Settings) -> AsyncIterator[Browser]:
    """Somebody before a running console who is not signed in."""
    async with httpx2.AsyncClient(base_url=running.url, timeout=30) as http:
        yield Browser(running, credentials(settings.data), http)


async def seed_accounts(running: RunningServices) -> None:
    """An account that Kim looks after, two with names made to hurt; an answer with a comment; a record that is no event."""
    events = [
        named(BOB, "Bob & Sons", csm="Kim", plan="Pro", renewal_at="2099-01-01"),
        used(BOB, 1),
        named(HOSTILE, HOSTILE),
        used(HOSTILE, 2),
        named(SLY, SLY),
        named(FORMULA, FORMULA),
        used(SLY, 3),
        event(BOB, "nps_answered", score=9, comment="<b>love</b> it"),
        {**event(BOB, "core_use"), "type": "track", "event": ""},
    ]
    async with httpx2.AsyncClient(auth=(running.write_key, ""), timeout=60) as http:
        answer = await http.post(f"{running.url}/v1/batch", json={"batch": events})
        assert answer.status_code == 200, answer.text
    await running.wait_until_idle()


def event(account: str, name: str, **properties: Any) -> dict[str, Any]:
    message_id = f"{account}-{name}-{len(properties)}"
    return track(name, f"{account}-user", account, messageId=message_id, properties=properties)


def used(account: str, number: int) -> dict[str, Any]:
    return {**event(account, "report_created"), "messageId": f"{account}-used-{number}"}


def named(account: str, name: str, **traits: str) -> dict[str, Any]:
    return group(account, f"{account}-user", traits={"name": name, "seats": 5, **traits})


def address(account: str) -> str:
    return f"/console/accounts/{quote(account, safe='')}"


@asynccontextmanager
async def console_alone(settings: Settings, services: Services | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """The console by itself, and somebody signed in there: it uses no log and no database but that of access."""
    nothing: Any = None
    await asyncio.to_thread(migrate_access, settings)
    async with open_access(settings, SystemClock()) as access:
        context = ServiceContext(
            settings,
            SystemClock(),
            nothing,
            nothing,
            Keys([("admin", "a", ADMIN)]),
            b"a secret of the tests",
            "t",
            access,
        )
        app = Starlette(routes=[Mount("/console", app=wire(context, services).app)])
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://here") as http:
            http.headers["Origin"] = "http://here"
            await http.post("/console/sign-in", data={"key": ADMIN})
            yield http


class StubServices(Services):
    """Services that give the same answer to every request."""

    def __init__(self, settings: Settings, answer: Any, status: int = 200) -> None:
        super().__init__(settings)
        self._transport = httpx2.MockTransport(lambda _: httpx2.Response(status, json=answer))

    @asynccontextmanager
    async def client(self, token: str) -> AsyncIterator[ServiceClient]:
        del token
        async with httpx2.AsyncClient(transport=self._transport) as http:
            yield ServiceClient(http, self.urls)
