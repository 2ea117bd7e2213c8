"""Audit: a route that changes something leaves a record, or it cannot be added; a record commits with its act, or not at all."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, get_args

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shared.access import audit
from shared.access.audit import Action, Actor, AuditEntry, AuditFilter
from shared.clock import SystemClock
from shared.failures import Refused
from shared.http import problem
from shared.http.audit import Act, Administrative, administrative
from shared.keys import credentials, load_keys
from shared.service.context import ServiceContext
from shared.settings import Settings
from shared.storage import Storage
from tests.conftest import Deployment, embedded
from tests.make import NOON, migrated_storage
from waymark.assembly import WIRES, assembled

NOT_ADMINISTRATIVE = {
    ("notify", "POST", "/u/{token:id}"): "a person unsubscribes by the link in a mail",
    ("advocacy", "POST", "/s/{token:id}"): "a person answers a survey by their link",
    ("advocacy", "POST", "/r/{token:id}"): "a person agrees to refer others by their link",
    ("advocacy", "POST", "/c/{code:id}"): "somebody follows a referral link",
    ("advocacy", "POST", "/c/{code:id}/page"): "an advocate has the link to their page mailed to them",
    ("notify", "POST", "/v1/feedback"): "a provider reports bounces and complaints: each row says which key told it",
    ("notify", "POST", "/v1/feedback/mail"): "the same, as it came by mail",
}
BY_REST_OR_A_SESSION = "console"
"""Its forms ask the services, which record it; signing in and out is recorded with the session."""


def changing(app: FastAPI) -> Iterator[APIRoute]:
    """Every route that may change something."""
    for route in routes_of(app.routes):
        if not route.methods <= {"GET", "HEAD", "OPTIONS"}:
            yield route


def routes_of(routes: list[object]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        else:  # an included router, where FastAPI keeps those apart
            inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", [])
            yield from routes_of(list(inner))


def action_of(dependant: Dependant) -> Action | None:
    """What the route records."""
    if isinstance(dependant.call, Administrative):
        return dependant.call.action
    return next(filter(None, map(action_of, dependant.dependencies)), None)


BY_COMMAND = {"backup_made", "backup_restored", "database_moved", "tables_migrated"}
"""What only the command line does (tests/adversary/test_console.py)."""


async def test_every_route_that_changes_something_records_who_did_it(tmp_path: Path) -> None:
    async with assembled(embedded(tmp_path), list(WIRES), SystemClock()) as assembly:
        apps = {name: service.app for name, service in assembly.services.items() if name != BY_REST_OR_A_SESSION}
        found = {
            (name, " ".join(sorted(route.methods)), route.path): action_of(route.dependant)
            for name, app in apps.items()
            for route in changing(app)
        }
    assert len(found) > 12
    assert {place for place, action in found.items() if action is None} == set(NOT_ADMINISTRATIVE)
    told = {action for action in found.values() if action} | {"session_started", "session_ended"} | BY_COMMAND
    assert told == set(get_args(Action))


def test_a_route_that_changes_something_without_a_record_is_found() -> None:
    app, routes = FastAPI(), APIRouter()

    @routes.delete("/planted")
    async def planted() -> None: ...

    app.include_router(routes)
    assert [(route.path, action_of(route.dependant)) for route in changing(app)] == [("/planted", None)]


@pytest.fixture
async def context(deployment: Deployment) -> AsyncIterator[ServiceContext]:
    async with migrated_storage(deployment.settings, "notify") as store:
        yield context_of(deployment.settings, store)


def context_of(settings: Settings, store: Storage) -> ServiceContext:
    keys, secret = load_keys(settings)
    return ServiceContext(settings, SystemClock(), store.database, store.bus, keys, secret, "test", store.access)


async def recorded(context: ServiceContext) -> list[AuditEntry]:
    async with context.access.snapshot() as read:
        return list(await audit.page(read, AuditFilter(), None, 10))


async def test_a_record_commits_with_its_act_or_not_at_all(context: ServiceContext) -> None:
    act = Act(context, "mode_set", Actor("ops", "settings:admin:ops", "", "192.0.2.1"))
    with pytest.raises(Refused):
        async with act.transaction("live"):
            raise Refused("not that")
    assert await recorded(context) == []
    async with act.transaction("live", was="preview"):
        pass
    [entry] = await recorded(context)
    assert (entry.actor.name, entry.action, entry.subject, entry.details) == (
        "ops",
        "mode_set",
        "live",
        {"was": "preview"},
    )


async def test_a_route_that_forgets_its_record_fails(tmp_path: Path) -> None:
    settings = embedded(tmp_path)
    async with migrated_storage(settings, "notify") as store:
        context, app = context_of(settings, store), FastAPI()
        problem.install(app)

        @app.post("/forgets")
        async def forgets(act: Annotated[Act, administrative(context, "mode_set")]) -> None:
            del act

        @app.post("/records")
        async def records(act: Annotated[Act, administrative(context, "mode_set")]) -> None:
            await act.announce("live")

        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://any") as http:
            assert (await http.post("/records")).status_code == 401
            http.headers["Authorization"] = f"Bearer {credentials(settings.data).admin}"
            assert (await http.post("/forgets")).status_code == 500
            assert (await http.post("/records")).status_code == 200
        assert len(await recorded(context)) == 1


async def test_entries_are_listed_the_latest_first_page_by_page(context: ServiceContext) -> None:
    async with context.access.transaction() as tx:
        for number in range(5):
            await audit.record(tx, AuditEntry(NOON, Actor("ops"), "task_closed", f"task {number}", {}))
        await audit.record(tx, AuditEntry(NOON, Actor("other"), "mode_set", "live", {}))
    async with context.access.snapshot() as read:
        everything = await audit.page(read, AuditFilter(), None, 10)
        first = await audit.page(read, AuditFilter(), None, 4)
        rest = await audit.page(read, AuditFilter(), (first[-1].at, first[-1].id), 4)
        of_other = await audit.page(read, AuditFilter(actor="other"), None, 10)
        found = await audit.page(read, AuditFilter(text="Task CLOSED"), None, 10, "subject", descending=False)
        behind = await audit.page(read, AuditFilter(), (found[2].subject, found[2].id), 10, "subject", descending=False)
        later = await audit.count(read, AuditFilter(since=NOON + timedelta(seconds=1)))
        counted = await audit.count(read, AuditFilter(text="task"))
    assert list(everything) == [*first, *rest]
    assert len(everything) == 6
    assert [entry.action for entry in of_other] == ["mode_set"]
    assert [entry.subject for entry in found] == [f"task {number}" for number in range(5)]
    assert [entry.subject for entry in behind] == ["task 3", "task 4"]
    assert (later, counted) == (0, 5)
