"""Golden data of each release: their files, migrated and opened with the code of today."""

import asyncio
import json
import lzma
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from shared.settings import Settings
from tests.conftest import ROOT
from tests.journey.services import RunningServices, run_services
from tests.make import FakeClock
from waymark import migrations
from waymark.assembly import WIRES

FOLDER = Path(__file__).parent
DEFINITION = "lifecycle.yaml"
FILES = ("waymark.db.xz", "waymark.sql.xz", "embedded.json.xz", "scaled.json.xz", DEFINITION)
RELEASES = sorted(path.parent.name for path in FOLDER.glob("*/waymark.db.xz"))
FIRST = "0.1.0"
"""The oldest: what goes on with its data, and replays them, goes the longest way."""
SERVICES = ("ingest", "lifecycle", "notify", "advocacy")


def unpacked(name: str, release: str = FIRST) -> bytes:
    return lzma.decompress((FOLDER / release / name).read_bytes())


def expectation(deployment: str, release: str = FIRST) -> dict[str, Any]:
    """What the release answered over REST: path -> answer."""
    found: dict[str, Any] = json.loads(unpacked(f"{deployment}.json.xz", release))
    return found


def config(folder: Path, release: str = FIRST) -> Path:
    """Today's configuration with the release's definition: whoever upgrades keeps their own."""
    shutil.copytree(ROOT / "config", folder, dirs_exist_ok=True)
    shutil.copy(FOLDER / release / DEFINITION, folder)
    return folder


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
