"""Golden data of the released layout: its files, migrated and opened with the code of today."""

import asyncio
import json
import lzma
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from shared.settings import Settings
from tests.journey.services import RunningServices, run_services
from tests.make import FakeClock
from waymark import migrations
from waymark.assembly import WIRES

RELEASE = Path(__file__).parent / "0.1.0"
SERVICES = ("ingest", "lifecycle", "notify", "advocacy")


def unpacked(name: str) -> bytes:
    return lzma.decompress((RELEASE / name).read_bytes())


def expectation(deployment: str) -> dict[str, Any]:
    """What the release answered over REST: path -> answer."""
    found: dict[str, Any] = json.loads(unpacked(f"{deployment}.json.xz"))
    return found


def database(where: Settings) -> Path:
    return where.data / "waymark.db"


async def migrated(where: Settings) -> None:
    await asyncio.to_thread(migrations.migrate, where, list(WIRES))


@asynccontextmanager
async def opened(where: Settings, clock: FakeClock) -> AsyncIterator[RunningServices]:
    """All services, each of them ready."""
    async with run_services(where, clock=clock) as on:
        for service in WIRES:
            await on.get(f"/{service}/readyz")
        yield on
