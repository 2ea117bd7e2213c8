"""Client of a running notify: where it answers, with which key, and what its refusals say."""

from typing import Any, NamedTuple

import httpx2

from shared.failures import Refused, Retry
from shared.keys import own_key
from shared.settings import Settings
from waymark import command_audit


class Target(NamedTuple):
    """Where notify answers, and the admin key to speak to it with."""

    url: str
    key: str


def target_of(settings: Settings, url: str | None, key: str | None) -> Target:
    """By default this installation's own notify and an admin key of its own."""
    where = url or settings.notify_url or f"http://{settings.host}:{settings.port}"
    check_address(where)
    return Target(where.rstrip("/"), key or own_key(settings, "admin"))


def check_address(url: str) -> None:
    """Raises Refused for what is no address of a server."""
    if not url.startswith(("http://", "https://")):
        raise Refused(f"--url {url}: write https://HOST, or http://HOST:PORT")


def client(target: Target) -> httpx2.AsyncClient:
    """A client that speaks to it."""
    headers = {"Authorization": f"Bearer {target.key}", **command_audit.headers()}
    return httpx2.AsyncClient(base_url=target.url, headers=headers, timeout=60)


async def call(http: httpx2.AsyncClient, method: str, path: str, **request: Any) -> Any:
    """The answer. Raises Refused with what notify said, Retry where it does not answer."""
    try:
        answer = await http.request(method, path, **request)
    except httpx2.TransportError as error:
        raise Retry(f"notify does not answer at {http.base_url}: {type(error).__name__}") from None
    if answer.status_code != 200:
        raise Refused(f"notify answered {answer.status_code}: {answer.text[:300]}")
    return answer.json()
