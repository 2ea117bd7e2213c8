"""Two replicas of lifecycle in one group; one is killed with -9 in the middle of a stream: is every event's effect there once?"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.servers.ports import free_port
from shared.settings import Settings
from tests.conftest import ROOT, embedded, scaled
from tests.journey.road import Road, road
from tests.make import settle
from waymark import histories

pytestmark = pytest.mark.servers
ACCOUNTS, EVENTS, BATCH = 40, 12_000, 200
FIRST = datetime(2026, 3, 2, tzinfo=UTC)


def environment(settings: Settings, port: int) -> dict[str, str]:
    assert settings.database_url
    assert settings.bus_url
    return {
        **os.environ,
        "WAYMARK_DATA": str(settings.data),
        "WAYMARK_CONFIG": str(settings.config),
        "WAYMARK_DATABASE_URL": settings.database_url,
        "WAYMARK_BUS_URL": settings.bus_url,
        "WAYMARK_TOPIC_PREFIX": settings.topic_prefix,
        "WAYMARK_PORT": str(port),
    }


@asynccontextmanager
async def replica(settings: Settings) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A lifecycle process of its own, ready."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "waymark", "run", "lifecycle", cwd=ROOT, env=environment(settings, port)
    )
    url = f"http://127.0.0.1:{port}"

    async def ready() -> bool:
        assert process.returncode is None, "the replica ended by itself"
        try:
            async with httpx2.AsyncClient() as http:
                return (await http.get(f"{url}/lifecycle/readyz")).status_code == 200
        except httpx2.TransportError:
            return False

    try:
        await settle(ready, 120)
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def events() -> list[dict[str, object]]:
    """A known stream: every account uses the product every few hours, each event with an id."""
    return [
        {
            "type": "track",
            "event": "Feature Used",
            "messageId": f"e{number}",
            "timestamp": (FIRST + timedelta(minutes=3 * number)).isoformat(),
            "context": {"groupId": f"acct{number % ACCOUNTS}"},
            "userId": f"user{number % ACCOUNTS}",
            "properties": {"feature": f"f{number % 7}"},
        }
        for number in range(EVENTS)
    ]


async def post(on: Road, stream: list[dict[str, object]], pause: float = 0.0) -> None:
    for start in range(0, len(stream), BATCH):
        body = {"batch": stream[start : start + BATCH], "history": "h"}
        answer = await on.http.post("/v1/batch", json=body, auth=(on.write_key, ""))
        assert answer.status_code == 200
        await asyncio.sleep(pause)


async def handled(url: str) -> float:
    """How many events this replica has handled since it started."""
    async with httpx2.AsyncClient() as http:
        text = (await http.get(f"{url}/lifecycle/metrics")).text
    return float(
        next(line for line in text.splitlines() if line.startswith('waymark_handled{group="lifecycle"}')).split()[1]
    )


async def owns(url: str) -> bool:
    """Whether this replica has some of the partitions."""
    async with httpx2.AsyncClient() as http:
        lag = (await http.get(f"{url}/lifecycle/readyz")).json()["lag"]
    return any(name.startswith("lifecycle usage.v1[") for name in lag)


async def asked(url: str, on: Road, path: str) -> Any:
    async with httpx2.AsyncClient(base_url=url, headers=dict(on.http.headers), timeout=30) as http:
        answer = await http.get(path)
    return answer.json() if answer.status_code == 200 else {}


async def counts(url: str, on: Road) -> dict[str, float]:
    """How many uses lifecycle has counted for each account, told by the replica at that address."""
    accounts = [await asked(url, on, f"/lifecycle/v1/accounts/acct{number}") for number in range(ACCOUNTS)]
    return {one["id"]: one["metrics"]["core_events_28d"] for one in accounts if one}


async def decisions(url: str, on: Road) -> dict[str, list[Any]]:
    """Everything decided about each account, without the wall clock's times."""
    names = [f"acct{number}" for number in range(ACCOUNTS)]
    told = {}
    for name in names:
        items = (await asked(url, on, f"/lifecycle/v1/accounts/{name}/history?limit=500"))["items"]
        told[name] = [{key: value for key, value in one.items() if key != "decided_at"} for one in items]
    return told


async def test_a_killed_replica_loses_nothing_and_repeats_nothing(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings, stream = scaled(request, tmp_path / "scaled"), events()
    async with road(settings, ["ingest"]) as on:
        await asyncio.to_thread(histories.migrate, settings, ["lifecycle"])
        async with replica(settings) as (victim, doomed), replica(settings) as (_, heir):

            async def both_own() -> bool:
                return await owns(doomed) and await owns(heir)

            await settle(both_own, 120)
            posting = asyncio.create_task(post(on, stream, pause=0.1))

            async def both_work() -> bool:
                return await handled(doomed) > 0 and await handled(heir) > 0

            await settle(both_work, 120)
            assert not posting.done(), "the stream ended before the kill: the test proves nothing"
            victim.send_signal(signal.SIGKILL)
            await posting

            async def all_there() -> bool:
                return sum((await counts(heir, on)).values()) >= EVENTS

            await settle(all_there, 240)
            assert await counts(heir, on) == {f"acct{n}": EVENTS / ACCOUNTS for n in range(ACCOUNTS)}
            after_the_kill = await decisions(heir, on)
    async with road(embedded(tmp_path / "undisturbed"), ["ingest", "lifecycle"]) as calm:
        await post(calm, stream)
        await calm.quiet()
        assert after_the_kill == await decisions(calm.url, calm)
