"""Rows `console-*`: how long a list of the console takes beside the REST call behind it, with so many accounts.

The accounts are written into the database as the services would write them, a row each with a state of the usual size, and
deliveries and tasks with texts; then `waymark up` is asked, one request at a time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import shake_128
from itertools import islice
from statistics import median
from typing import Any

import httpx2

from bench.errors import NotInPlan
from bench.processes import ready, waymark
from bench.rounds import Figures
from bench.servers import ROOT
from bench.session import Session
from deploy.servers.ports import free_port
from services.lifecycle.accounts import repository
from services.lifecycle.core.state import HealthState, TimestampedValue, begin
from services.lifecycle.tables import account
from services.notify import store as notify
from services.notify.core.state import Account as NotifyAccount
from services.notify.core.state import AccountView
from services.notify.tables import account as notify_account
from services.notify.tables import delivery
from shared.clock import SystemClock
from shared.contracts.lifecycle import Band
from shared.db.protocol import Database
from shared.keys import credentials
from shared.settings import Settings
from shared.storage import open_storage
from waymark import migrations

_NOW = datetime(2026, 11, 1, tzinfo=UTC)
_STAGES = ("onboarding", "adoption", "value_realization", "expansion", "retention", "advocacy", "churned")
_BANDS: tuple[Band, ...] = ("green", "yellow", "red", "unknown")
_FLAGS = (" ", " at_risk ", " renewal_window ", " at_risk stalled ")
_OWNERS, _PLANS = [f"owner{number:02}" for number in range(40)], ("Free", "Team", "Pro")
_STATE = 1_500
"""Bytes of an account's state that do not compress."""
_TIMES = 9
_PAGES = {
    "accounts": "accounts",
    "search": "accounts?q=4242",
    "owner": "accounts?owner=owner07&sort=score",
    "flag": "accounts?flag=at_risk&sort=score",
    "outbox": "outbox",
    "tasks": "tasks?owner=owner07",
}
_CALLS = {
    "accounts": "lifecycle/v1/accounts?limit=50&count=true",
    "search": "lifecycle/v1/accounts?q=4242&limit=50&count=true",
    "owner": "lifecycle/v1/accounts?owner=owner07&sort=score&limit=50&count=true",
    "flag": "lifecycle/v1/accounts?flag=at_risk&sort=score&why=true&limit=50&count=true",
    "outbox": "notify/v1/outbox?limit=50&count=true",
    "tasks": "notify/v1/tasks?owner=owner07&limit=50&count=true",
}


class Dice:
    """Chance that is the same for every seed."""

    def __init__(self, seed: int) -> None:
        self._seed, self._thrown = seed, 0

    def randbytes(self, count: int) -> bytes:
        """So many bytes."""
        self._thrown += 1
        return shake_128(f"{self._seed} {self._thrown}".encode()).digest(count)

    def randrange(self, below: int) -> int:
        """A number from 0."""
        return int.from_bytes(self.randbytes(6), "big") % below

    def choice(self, of: Sequence[str]) -> str:
        """One of these."""
        return of[self.randrange(len(of))]


async def lists(which: int, session: Session, number: int) -> Figures:
    """Median milliseconds of each list, by REST and in the console."""
    accounts = session.plan.sizes[which]
    if accounts is None:
        raise NotInPlan("the quick plan has no time to make a million accounts")
    folder = session.new("console")
    settings = Settings(data=folder, config=ROOT / "config", port=free_port(), database_url=None, bus_url=None)
    await _filled(settings, accounts, Dice(session.seed + number))
    async with waymark(settings, settings.port, ["up"]) as one:
        await ready(one, f"http://127.0.0.1:{settings.port}/console/readyz")
        await ready(one, f"http://127.0.0.1:{settings.port}/lifecycle/readyz")
        async with _signed_in(settings) as http:
            figures = {"accounts": float(accounts)}
            for name, call in _CALLS.items():
                figures[f"{name} REST ms"] = await _median(http, call)
                figures[f"{name} console ms"] = await _median(http, f"console/{_PAGES[name]}")
    return figures


async def _median(http: httpx2.AsyncClient, path: str) -> float:
    took = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        (await http.get(f"/{path}")).raise_for_status()
        took.append(1000 * (time.perf_counter() - began))
    return median(took[1:])


@asynccontextmanager
async def _signed_in(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    base, keys = f"http://127.0.0.1:{settings.port}", credentials(settings.data)
    headers = {"Authorization": f"Bearer {keys.read}", "Origin": base}
    async with httpx2.AsyncClient(base_url=base, timeout=60, headers=headers) as http:
        await http.post("/console/sign-in", data={"key": keys.admin})
        yield http


async def _filled(settings: Settings, accounts: int, of: Dice) -> None:
    credentials(settings.data)
    services = ["ingest", "lifecycle", "notify", "advocacy"]
    await asyncio.to_thread(migrations.migrate, settings, services)
    async with open_storage(settings, services, SystemClock(), "bench") as stores:
        await _written(stores["lifecycle"].database, account, _lifecycle_rows(accounts, of))
        await _written(stores["notify"].database, notify_account, _notify_rows(accounts))
        await _written(stores["notify"].database, delivery, _deliveries(2 * accounts, accounts, of))


async def _written(database: Database, table: Any, rows: Iterable[dict[str, Any]]) -> None:
    waiting = iter(rows)
    while piece := list(islice(waiting, 2_000)):
        async with database.transaction() as tx:
            await tx.insert(table, piece)


def _lifecycle_rows(accounts: int, of: Dice) -> Iterator[dict[str, Any]]:
    repo = repository(lambda _: 0)
    for number in range(accounts):
        at = _NOW - timedelta(minutes=of.randrange(500_000))
        known = begin(f"account-{number:07}", at)
        known.stage, known.health = (
            of.choice(_STAGES),
            HealthState(_BANDS[of.randrange(len(_BANDS))], float(of.randrange(100)), 0.8),
        )
        traits = {"name": f"Company {number} Ltd", "csm": of.choice(_OWNERS), "plan": of.choice(_PLANS)}
        renewal = {"renewal_at": (at + timedelta(days=of.randrange(400))).isoformat()}
        padding = {"padding": of.randbytes(_STATE // 2).hex()}
        known.traits = {name: TimestampedValue(at, value) for name, value in (traits | renewal | padding).items()}
        yield {**repo.row(known), "flags": of.choice(_FLAGS)}


def _notify_rows(accounts: int) -> Iterator[dict[str, Any]]:
    repo = notify.repository(lambda _: 0)
    for number in range(accounts):
        traits = {"name": f"Company {number} Ltd", "csm": _OWNERS[number % len(_OWNERS)]}
        yield dict(repo.row(NotifyAccount(f"account-{number:07}", view=AccountView("adoption", traits=traits))))


def _deliveries(count: int, accounts: int, of: Dice) -> Iterator[dict[str, Any]]:
    for number in range(count):
        at, status = _NOW - timedelta(minutes=of.randrange(500_000)), of.choice(("sent", "skipped", "previewed"))
        status = "opened" if number % 50 == 0 else status
        yield {
            "id": f"{number:032x}",
            "account": f"account-{number % accounts:07}",
            "user": "ann",
            "address": "ann@example.test",
            "play": of.choice(("welcome", "save")),
            "step": "one",
            "channel": "task" if status == "opened" else "email",
            "outreach_class": "risk",
            "topic": "risk",
            "status": status,
            "reason": "budget" if status == "skipped" else "",
            "detail": "",
            "at": at,
            "planned_at": at,
            "not_before": at,
            "expires_at": at + timedelta(days=7),
            "history": False,
            "subject": "How is it going?",
            "text": "x" * 600,
            "html": "y" * 900,
            "decision": b"{}",
            "attempt": 1,
            "lease_epoch": 0,
            "lease_until": None,
            "stage": "",
            "maybe_delivered": False,
            "provider_ref": "",
            "sent_at": at,
            "done_at": None,
            "person": None,
            "outcome": "",
            "done_by": "",
        }
