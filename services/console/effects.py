"""REST client of the other services, under a token of the operator's session; a failure becomes a sentence on the page."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2

from services.console.core import answers
from shared.clock import Clock
from shared.settings import Settings

SERVICES = ("ingest", "lifecycle", "notify", "advocacy")
_TIMEOUT = 10.0
_BELIEVED = timedelta(minutes=1)
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what to call where a server listens on all


class Answer(NamedTuple):
    """What a service said. `problem` is empty, or says in words why the data is not to be relied on."""

    data: Any = None
    problem: str = ""
    status: int = 200

    @property
    def fields(self) -> dict[str, Any]:
        """The answer as one thing."""
        return answers.fields(self.data)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The answer as a list, or as one page of it."""
        return answers.rows(self.data if isinstance(self.data, list) else self.fields.get("items"))

    @property
    def total(self) -> int | None:
        """How many there are on all pages, where that was asked."""
        total = self.fields.get("total")
        return total if isinstance(total, int) else None

    @property
    def next(self) -> str:
        """The cursor of the following page, empty on the last."""
        following = self.fields.get("next")
        return following if isinstance(following, str) else ""


class ServiceClient:
    """The services, as one operator may ask them."""

    def __init__(self, http: httpx2.AsyncClient, urls: Mapping[str, str]) -> None:
        self._http = http
        self._urls = urls

    async def get(self, path: str, **query: Any) -> Answer:
        """Read. The path's first part names the service; filters that are empty are left out, but for nobody's `owner`."""
        asked = {name: given for name, given in query.items() if given or (name == "owner" and given is not None)}
        return await self._call("GET", path, params=asked)

    async def change(self, method: str, path: str, body: Any = None) -> Answer:
        """Change something there."""
        return await self._call(method, path, json=body)

    async def get_all(self, *paths: str) -> list[Answer]:
        """Read several at once."""
        return list(await asyncio.gather(*(self.get(path) for path in paths)))

    async def _call(self, method: str, path: str, **more: Any) -> Answer:
        service = path.split("/")[1]
        try:
            async with asyncio.timeout(_TIMEOUT):
                answer = await self._http.request(method, self._urls[service] + path, **more)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError):
            return Answer(None, f"{service} does not answer", 503)
        return _answer(service, answer)


def _answer(service: str, answer: httpx2.Response) -> Answer:
    try:
        data = answer.json()
    except ValueError:
        data = None
    if answer.is_success:
        return Answer(data, "" if data is not None else f"{service} answered with something else", answer.status_code)
    detail = data.get("detail") if isinstance(data, dict) else None
    missing = f"{service} has no such page; is it running?" if answer.status_code == 404 else ""
    return Answer(data, str(detail or missing or f"{service} answers {answer.status_code}"), answer.status_code)


class Services:
    """Where the services are."""

    def __init__(self, settings: Settings) -> None:
        host = _LOOPBACK_OF.get(settings.host, settings.host)
        here = f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
        given = {name: getattr(settings, f"{name}_url") for name in SERVICES}
        self.urls = {name: (url or here).rstrip("/") for name, url in given.items()}
        self._tls = ssl.create_default_context()

    @asynccontextmanager
    async def client(self, token: str) -> AsyncIterator[ServiceClient]:
        """Ask under this token, for one page."""
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(headers=headers, verify=self._tls, timeout=_TIMEOUT, trust_env=False) as http:
            yield ServiceClient(http, self.urls)


class Choices:
    """What filters offer (stages, owners, plans, plays), believed for a minute: counting every account for each page of a list
    would cost more than the list. What a page says of numbers is never taken from here.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[Answer, datetime]] = {}

    async def get(self, services: ServiceClient, path: str) -> Answer:
        """The answer of that resource, at most a minute old; one that failed is not kept."""
        found, until = self._known.get(path, (None, None))
        now = self._clock.now()
        if found is not None and until is not None and now < until:
            return found
        answer = await services.get(path)
        if not answer.problem:
            self._known[path] = answer, now + _BELIEVED
        return answer


def path_segment(name: str) -> str:
    """An id as one segment of a path, whatever is in it."""
    return quote(name, safe="").replace(".", "%2E")
