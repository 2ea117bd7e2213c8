"""Client of a running notify: where it answers, with which key, what its refusals say; and the commands `waymark outbox` over it."""

from typing import Any, NamedTuple
from urllib.parse import quote

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


async def approve_sends(target: Target) -> None:
    """Let go what waits after the first sends, and say how much it is."""
    async with client(target) as http:
        waiting = (await call(http, "GET", "/notify/v1/approval"))["waiting"]
        await call(http, "POST", "/notify/v1/approval")
    print(f"approved: {waiting} messages that waited leave now, and all later ones as they come")


async def redrive_deliveries(target: Target, delivery: str | None, play: str | None, channel: str | None) -> None:
    """Send again what failed: one delivery, or all of a play or channel, or everything; and say what came of it."""
    async with client(target) as http:
        if delivery is not None:
            await call(http, "POST", f"/notify/v1/outbox/{quote(delivery, safe='')}/redrive")
            print("sent again, if it is still true when it leaves")
            return
        wanted = {name: value for name, value in (("play", play), ("channel", channel)) if value is not None}
        done = await call(http, "POST", "/notify/v1/outbox/redrive", json=wanted)
    print(
        f"{done['redriven']} sent again, if still true when they leave; {done['expired']} left out, they have expired"
    )
