"""How are the other services asked? Over REST, with the operator's own key; what goes wrong becomes words on the page."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2

from services.console.core import shape
from shared.settings import Settings

SERVICES = ("ingest", "lifecycle", "notify", "advocacy")
_PATIENCE = 10.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what to call where a server listens on all


class Answer(NamedTuple):
    """What a service said. `problem` is empty, or says in words why the data is not to be relied on."""

    data: Any = None
    problem: str = ""
    status: int = 200

    @property
    def fields(self) -> dict[str, Any]:
        """The answer as one thing."""
        return shape.fields(self.data)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The answer as a list, or as one page of it."""
        return shape.rows(self.data if isinstance(self.data, list) else self.fields.get("items"))

    @property
    def next(self) -> str:
        """The cursor of the following page, empty on the last."""
        following = self.fields.get("next")
        return following if isinstance(following, str) else ""


class Ask:
    """The services, as one operator may ask them."""

    def __init__(self, http: httpx2.AsyncClient, where: Mapping[str, str]) -> None:
        self._http = http
        self._where = where

    async def get(self, path: str, **query: Any) -> Answer:
        """Read. The path's first part names the service; filters that are empty are left out."""
        return await self._told("GET", path, params={name: given for name, given in query.items() if given})

    async def change(self, method: str, path: str, body: Any = None) -> Answer:
        """Change something there."""
        return await self._told(method, path, json=body)

    async def several(self, *paths: str) -> list[Answer]:
        """Read several at once."""
        return list(await asyncio.gather(*(self.get(path) for path in paths)))

    async def _told(self, method: str, path: str, **more: Any) -> Answer:
        service = path.split("/")[1]
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._http.request(method, self._where[service] + path, **more)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError):
            return Answer(None, f"{service} does not answer", 503)
        return _read(service, answer)


def _read(service: str, answer: httpx2.Response) -> Answer:
    try:
        data = answer.json()
    except ValueError:
        data = None
    if answer.is_success:
        return Answer(data, "" if data is not None else f"{service} answered with something else", answer.status_code)
    detail = data.get("detail") if isinstance(data, dict) else None
    missing = f"{service} has no such page; is it running?" if answer.status_code == 404 else ""
    return Answer(data, str(detail or missing or f"{service} answers {answer.status_code}"), answer.status_code)


class Rest:
    """Where the services are."""

    def __init__(self, settings: Settings) -> None:
        host = _EVERYWHERE.get(settings.host, settings.host)
        here = f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
        given = {name: getattr(settings, f"{name}_url") for name in SERVICES}
        self.where = {name: (url or here).rstrip("/") for name, url in given.items()}
        self._tls = ssl.create_default_context()

    @asynccontextmanager
    async def asked(self, key: str) -> AsyncIterator[Ask]:
        """Ask as the owner of this key, for one page."""
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(headers=headers, verify=self._tls, timeout=_PATIENCE, trust_env=False) as http:
            yield Ask(http, self.where)


def part(name: str) -> str:
    """An id as one part of a path, whatever is in it."""
    return quote(name, safe="").replace(".", "%2E")
