"""Clients that go away in the middle leave no connection of ours, and nothing open in a transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import msgspec
import pytest
from sqlalchemy import Row, text

from shared.storage import ACCESS_POOL
from tests.conftest import scaled
from tests.journey.services import RunningServices, run_services
from tests.make import eventually, migrated_storage
from tests.service.serving.make import client

pytestmark = pytest.mark.servers
ROUNDS, EACH, POOL = 25, 3, 8
LOCKED = ("ingest.dead_letter", "lifecycle.lifecycle_account")
OURS = text(
    "SELECT count(*) AS many, count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting,"
    " count(*) FILTER (WHERE state <> 'idle' AND pid <> pg_backend_pid()) AS busy"
    " FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'waymark'"
)


class Asked(NamedTuple):
    """A request; one with a body changes something."""

    path: str
    body: bytes = b""

    @property
    def method(self) -> str:
        return "POST" if self.body else "GET"


JSON = "application/json"
REDRIVE = msgspec.json.encode({"ids": ["00000000-0000-0000-0000-000000000000"] * 90})
ASKED = [
    *[Asked("/lifecycle/v1/accounts?limit=500")] * EACH,
    *[Asked("/ingest/v1/parked?limit=500")] * EACH,
    *[Asked("/ingest/v1/parked/redrive", REDRIVE)] * EACH,
]


@pytest.fixture
async def on(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningServices]:
    settings = scaled(request, tmp_path)
    async with run_services(settings, ["ingest", "lifecycle"]) as running:
        yield running
    async with migrated_storage(settings) as afterwards, afterwards.database.snapshot() as read:
        row = await read.first(OURS)
        assert row is not None
        assert row.many == 1, "a connection was left out of its pool, and stayed open when that was closed"


@asynccontextmanager
async def in_the_middle(on: RunningServices) -> AsyncIterator[None]:
    """Whatever asks for these tables waits inside its transaction, until this ends."""
    async with on.assembly.contexts["lifecycle"].database.transaction() as tx:
        await tx.run(text(f"LOCK TABLE {', '.join(LOCKED)} IN ACCESS EXCLUSIVE MODE"))
        yield


async def activity(on: RunningServices) -> Row[Any]:
    """PostgreSQL shows it to each transaction as it was at its first look: hence a new one each time."""
    async with on.assembly.contexts["ingest"].database.snapshot() as read:
        row = await read.first(OURS)
    assert row is not None
    return row


async def all_wait(on: RunningServices) -> None:
    async def so() -> bool:
        return bool((await activity(on)).waiting >= len(ASKED))

    await eventually(so)


async def nothing_is_open(on: RunningServices) -> None:
    """No connection is busy, there are no more than the pools keep, and the pools can still give all of them."""

    async def flat() -> bool:
        row = await activity(on)
        return bool(row.busy == 0 and row.many <= POOL * 2 + ACCESS_POOL)

    await eventually(flat)
    answers = await asyncio.gather(*(on.get(asked.path) for asked in ASKED if not asked.body for _ in range(POOL)))
    assert len(answers) == POOL * EACH * 2


async def test_clients_that_go_away_leave_nothing_open(on: RunningServices) -> None:
    port, key = int(on.url.rpartition(":")[2]), on.http.headers["Authorization"]
    for _ in range(ROUNDS):
        async with in_the_middle(on), AsyncExitStack() as clients:
            for asked in ASKED:
                leaving = await clients.enter_async_context(client(port))
                head = f"{asked.method} {asked.path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Type: {JSON}\r\n"
                await leaving.say(f"{head}Content-Length: {len(asked.body)}\r\n\r\n".encode() + asked.body)
            await all_wait(on)
    await nothing_is_open(on)


async def test_requests_that_are_cut_off_leave_nothing_open(on: RunningServices) -> None:
    """As a process that stops cuts off its requests."""
    transport = httpx2.ASGITransport(app=on.assembly.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://waymark", headers=on.http.headers) as http:
        http.headers["Content-Type"] = JSON
        for _ in range(ROUNDS):
            async with in_the_middle(on):
                work = [
                    asyncio.create_task(http.request(asked.method, asked.path, content=asked.body)) for asked in ASKED
                ]
                await all_wait(on)
                for one in work:
                    one.cancel()
                ended = await asyncio.gather(*work, return_exceptions=True)
                assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended
    await nothing_is_open(on)


@pytest.mark.parametrize("sent", [0.0, 0.5])
async def test_bodies_that_never_end_leave_nothing_open(on: RunningServices, sent: float) -> None:
    port = int(on.url.rpartition(":")[2])
    for _ in range(ROUNDS * len(ASKED)):
        async with client(port) as leaving:
            head = b"POST /ingest/v1/parked/redrive HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(REDRIVE)
            await leaving.say(head + REDRIVE[: int(len(REDRIVE) * sent)])
    await nothing_is_open(on)
