"""Running services: all of them, or some, in this process, on either deployment, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from deploy.servers.ports import free_port
from shared.clock import Clock, SystemClock
from shared.keys import credentials
from shared.settings import Settings
from waymark import compatibility
from waymark.assembly import WIRES, Assembly
from waymark.idle import wait_until_idle
from waymark.importing import ImportResult, Target, import_file
from waymark.serving import served


class RunningServices(NamedTuple):
    """Running services, and a client that may read everything."""

    assembly: Assembly
    url: str
    write_key: str
    http: httpx2.AsyncClient

    async def get(self, path: str, **query: Any) -> Any:
        """The answer's JSON; anything but 200 fails the test."""
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def pages(self, path: str, **query: Any) -> list[Any]:
        """Every item of every page."""
        items, page = [], {"next": None}
        while True:
            page = await self.get(path, **query, **({"cursor": page["next"]} if page["next"] else {}))
            items += page["items"]
            if not page["next"]:
                return items

    async def imported(
        self, file: Path, now: datetime, batch_size: int = 500, *, live: bool | None = None
    ) -> ImportResult:
        """Import a file, and wait until every service has taken everything that came of it."""
        done = await import_file(file, Target(self.url, self.write_key, batch_size), now, live)
        await self.wait_until_idle()
        return done

    async def wait_until_idle(self, seconds: float = 400) -> None:
        """Until nothing waits anywhere."""
        await wait_until_idle(self.assembly, seconds)


@asynccontextmanager
async def run_services(
    settings: Settings, names: Sequence[str] | None = None, clock: Clock | None = None
) -> AsyncIterator[RunningServices]:
    """All services (or these), migrated and served on a free port."""
    names = list(WIRES) if names is None else list(names)
    await asyncio.to_thread(compatibility.migrate, settings, names)
    settings = settings.model_copy(update={"port": free_port()})
    keys = credentials(settings.data)
    url = f"http://127.0.0.1:{settings.port}"
    async with (
        served(settings, names, clock or SystemClock()) as (assembly, _),
        httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {keys.admin}"}, timeout=30) as http,
    ):
        yield RunningServices(assembly, url, keys.write, http)
