"""Waymark as it runs in the field: processes with signals, posted to by a client that does not give up."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from shared.settings import Settings
from tests.conftest import ROOT
from tests.make import PLAIN, eventually

_SET = ("data", "config", "database_url", "bus_url", "topic_prefix", "outreach", "live_despite", "session_seconds")


FIRST = datetime(2026, 3, 2, tzinfo=UTC)


def uses(events: int, accounts: int, **more: Any) -> list[dict[str, Any]]:
    """A known stream: every account uses the product every few hours, each event with an id."""
    return [
        {
            "type": "track",
            "event": "Feature Used",
            "messageId": f"e{number}",
            "timestamp": (FIRST + timedelta(minutes=3 * number)).isoformat(),
            "context": {"groupId": f"acct{number % accounts}"},
            "userId": f"user{number % accounts}",
            "properties": {"feature": f"f{number % 7}"},
            **more,
        }
        for number in range(events)
    ]


class Running:
    """One process, ready."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    async def stopped(self, seconds: float) -> tuple[int, float]:
        """Ask it to stop: its exit code, and how long that took. Fails when it has not ended by then."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(seconds):
            code = await self.process.wait()
        return code, time.monotonic() - began


@asynccontextmanager
async def started(settings: Settings, *command: str) -> AsyncIterator[Running]:
    """`waymark COMMAND`, once all its services are ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "waymark", *command, cwd=ROOT, env=_environment(settings)
    )
    url = f"http://127.0.0.1:{settings.port}"
    services = command[1:] or ("ingest", "lifecycle", "notify")

    async def ready() -> bool:
        assert process.returncode is None, "it ended by itself"
        return all([await _answers(f"{url}/{name}/readyz") for name in services])

    try:
        await eventually(ready, 120)
        yield Running(process, url)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _environment(settings: Settings) -> dict[str, str]:
    own = {f"WAYMARK_{name.upper()}": str(value) for name in _SET if (value := getattr(settings, name)) is not None}
    if settings.smtp_url is not None:
        own["WAYMARK_SMTP_URL"] = settings.smtp_url.get_secret_value()
    return {**os.environ, **own, "WAYMARK_PORT": str(settings.port)}


async def _answers(url: str) -> bool:
    try:
        async with httpx2.AsyncClient(timeout=60, verify=PLAIN) as http:
            return (await http.get(url)).status_code == 200
    except httpx2.TransportError:
        return False


class Sdk:
    """Posts as tracking SDKs do: a batch is repeated, with its ids, until it is taken."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self.taken = 0
        self.refused: list[str] = []

    async def post(self, stream: Sequence[dict[str, Any]], size: int) -> None:
        for start in range(0, len(stream), size):
            batch = stream[start : start + size]
            while not await self._once(batch):  # noqa: ASYNC110  a client waits before it repeats itself
                await asyncio.sleep(0.05)
            self.taken += len(batch)

    async def reaches(self, events: int) -> None:
        async def so_many() -> bool:
            return self.taken >= events

        await eventually(so_many)

    async def _once(self, batch: Sequence[dict[str, Any]]) -> bool:
        try:
            async with httpx2.AsyncClient(timeout=30) as http:
                answer = await http.post(f"{self.url}/v1/batch", json={"batch": batch}, auth=(self.key, ""))
        except httpx2.TransportError as error:
            self.refused.append(type(error).__name__)
            return False
        if answer.status_code != 200:
            self.refused.append(f"{answer.status_code}")
            assert answer.status_code in {429, 503}, answer.text
            assert "retry-after" in answer.headers
        return answer.status_code == 200
