"""Takeover: one of two replicas is killed with -9 in the middle of a stream, and every event's effect is there once."""

import asyncio
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.servers.ports import free_port
from shared.settings import Settings
from tests.conftest import embedded, scaled
from tests.journey.processes import Running, started, uses
from tests.journey.services import RunningServices, run_services
from tests.make import PLAIN, eventually
from waymark import migrations

pytestmark = pytest.mark.servers
ACCOUNTS, EVENTS, BATCH = 40, 12_000, 200


def replica(settings: Settings) -> AbstractAsyncContextManager[Running]:
    """A lifecycle process of its own, ready."""
    return started(settings.model_copy(update={"port": free_port()}), "run", "lifecycle")


async def post(on: RunningServices, stream: list[dict[str, object]], pause: float = 0.0) -> None:
    for start in range(0, len(stream), BATCH):
        body = {"batch": stream[start : start + BATCH], "history": "h"}
        answer = await on.http.post("/v1/batch", json=body, auth=(on.write_key, ""))
        assert answer.status_code == 200
        await asyncio.sleep(pause)


async def handled(url: str) -> float:
    """How many events this replica has handled since it started."""
    async with httpx2.AsyncClient(timeout=60, verify=PLAIN) as http:
        text = (await http.get(f"{url}/lifecycle/metrics")).text
    return float(
        next(line for line in text.splitlines() if line.startswith('waymark_handled_total{group="lifecycle"}')).split()[
            1
        ]
    )


async def owns(url: str) -> bool:
    """Whether this replica has some of the partitions."""
    async with httpx2.AsyncClient(timeout=60, verify=PLAIN) as http:
        lag = (await http.get(f"{url}/lifecycle/readyz")).json()["lag"]
    return any(name.startswith("lifecycle usage.v1[") for name in lag)


async def asked(url: str, on: RunningServices, path: str) -> Any:
    async with httpx2.AsyncClient(base_url=url, headers=dict(on.http.headers), timeout=30, verify=PLAIN) as http:
        answer = await http.get(path)
    return answer.json() if answer.status_code == 200 else {}


async def counts(url: str, on: RunningServices) -> dict[str, float]:
    """How many uses lifecycle has counted for each account, told by the replica at that address."""
    accounts = [await asked(url, on, f"/lifecycle/v1/accounts/acct{number}") for number in range(ACCOUNTS)]
    return {one["id"]: one["metrics"]["core_events_28d"] for one in accounts if one}


async def decisions(url: str, on: RunningServices) -> dict[str, list[Any]]:
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
    settings = scaled(request, tmp_path / "scaled").model_copy(update={"session_seconds": 6})
    stream = uses(EVENTS, ACCOUNTS)
    early, late = stream[: EVENTS // 2], stream[EVENTS // 2 :]
    async with run_services(settings, ["ingest"]) as on:
        await asyncio.to_thread(migrations.migrate, settings, ["lifecycle"])
        async with replica(settings) as victim, replica(settings) as survivor:
            doomed, heir = victim.url, survivor.url

            async def both_own() -> bool:
                return await owns(doomed) and await owns(heir)

            await eventually(both_own, 120)
            await post(on, early)

            async def both_work() -> bool:
                return await handled(doomed) > 0 and await handled(heir) > 0

            await eventually(both_work, 120)
            posting = asyncio.create_task(post(on, late, pause=0.1))
            before = await handled(doomed)

            async def in_the_middle() -> bool:
                return posting.done() or await handled(doomed) > before

            await eventually(in_the_middle, 120)
            victim.process.send_signal(signal.SIGKILL)
            await posting

            async def all_there() -> bool:
                return sum((await counts(heir, on)).values()) >= EVENTS

            await eventually(all_there, 240)
            assert await counts(heir, on) == {f"acct{n}": EVENTS / ACCOUNTS for n in range(ACCOUNTS)}
            after_the_kill = await decisions(heir, on)
    async with run_services(embedded(tmp_path / "undisturbed"), ["ingest", "lifecycle"]) as calm:
        await post(calm, stream)
        await calm.wait_until_idle()
        assert after_the_kill == await decisions(calm.url, calm)
