"""Limits on bodies: size, slowness and depth, on every route of every service."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from shared.clock import SystemClock
from shared.http.bodies import MIB, BodyBuffer, BodyMemoryLimit, BodyTimeouts
from shared.keys import credentials
from tests.conftest import embedded
from tests.make import eventually
from tests.service.serving.make import PATIENCE, Client, client, hello, listening, waiting
from waymark.assembly import WIRES, Assembly, assembled

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
UNREAD = ("/notify/v1/approval",)
"""It has nothing to read: what is sent along is left alone."""
DEEP = [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 990 + b"]" * 990, b'{"ids":' + b"[" * 500_000]


@pytest.fixture
async def everything(tmp_path: Path) -> AsyncIterator[tuple[Assembly, httpx2.AsyncClient]]:
    settings = embedded(tmp_path)
    transport, key = httpx2.ASGITransport, credentials(settings.data).admin
    async with (
        assembled(settings, list(WIRES), SystemClock()) as assembly,
        httpx2.AsyncClient(transport=transport(app=assembly.app), base_url="http://waymark") as http,
    ):
        http.headers["Authorization"] = f"Bearer {key}"
        yield assembly, http


def routes(assembly: Assembly) -> Iterator[tuple[str, str]]:
    """Every method and path that may bring a body, as the running applications list them, and the hosted pages."""
    for name, service in assembly.services.items():
        for path, methods in service.app.openapi()["paths"].items():
            for method in sorted(methods.keys() & {"post", "put", "patch", "delete"}):
                yield method.upper(), f"/{name}{path}".replace("{", "").replace("}", "")
    yield from (("POST", f"/advocacy/{page}/token") for page in "src")


async def test_no_route_takes_more_than_a_mebibyte(everything: tuple[Assembly, httpx2.AsyncClient]) -> None:
    assembly, http = everything
    asked = list(routes(assembly))
    assert len({path.split("/")[1] for _, path in asked}) == len(WIRES)
    for method, path in asked:
        for headers in (FORM, JSON):
            answer = await http.request(method, path, content=bytes(MIB + 1), headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large"), (method, path)


async def test_no_depth_of_json_is_our_error(everything: tuple[Assembly, httpx2.AsyncClient]) -> None:
    assembly, http = everything
    for method, path in routes(assembly):
        for body in DEEP:
            answer = await http.request(method, path, content=body, headers=JSON)
            expected = {200} if path in UNREAD else range(400, 500)
            assert answer.status_code in expected, (method, path, answer.text)


async def test_a_body_is_measured_as_it_comes(everything: tuple[Assembly, httpx2.AsyncClient]) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield bytes(MIB // 16)

    _, http = everything
    assert (await http.put("/notify/v1/mode", content=pieces())).status_code == 413
    assert (await http.put("/notify/v1/mode", json={"mode": "preview"})).status_code == 200


def post(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length


async def test_a_body_that_is_too_large_is_told_so_over_a_wire() -> None:
    async with listening(BodyBuffer(hello, 1000)) as port, client(port) as wordy:
        with suppress(ConnectionError):
            await wordy.say(post(1_000_000) + bytes(1_000_000))
        heard = await wordy.hear(b'"code":"too_large"')
    assert heard.startswith(b"HTTP/1.1 413 ")


async def test_a_body_announced_too_large_need_not_come() -> None:
    async with listening(BodyBuffer(hello, 1000)) as port, client(port) as honest:
        await honest.say(post(1001))
        assert (await honest.hear(b'"code":"too_large"')).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("timeouts", [BodyTimeouts(piece=0.2), BodyTimeouts(60, 0.2)])
async def test_a_body_that_does_not_come_is_not_waited_for(timeouts: BodyTimeouts) -> None:
    async with listening(BodyBuffer(hello, timeouts=timeouts)) as port, client(port) as slow:
        await slow.say(post(100) + b"{")
        heard = await slow.rest()
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"slow_body"' in heard


async def test_a_route_begins_when_its_body_is_here() -> None:
    async def echo(_scope: object, receive: Any, send: Any) -> None:
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": message["body"]})

    async with listening(BodyBuffer(echo)) as port, client(port) as friend:
        await friend.say(post(4) + b"wh")
        await asyncio.sleep(0)
        await friend.say(b"ol")
        await friend.hear(b"whol")


async def together(clients: list[Client], size: int) -> None:
    for one in clients:
        await one.say(post(size) + bytes(size))


async def test_all_bodies_together_hold_only_so_much() -> None:
    answered, begun = asyncio.Event(), []
    app = BodyMemoryLimit(BodyBuffer(waiting(answered, lambda: begun.append(1))), most=2500)
    async with listening(app) as port, client(port) as one, client(port) as two, client(port) as three:
        await together([one, two], 1000)

        async def both() -> bool:
            return len(begun) == 2

        await eventually(both)
        await together([three], 1000)
        refused = await three.hear(b'"code":"unavailable"')
        answered.set()
        for early in (one, two):
            assert b" 200 " in await early.hear(b"waited for /")
        await together([three], 1000)
        assert b" 200 " in await three.hear(b"waited for /")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 2\r\n" in refused


async def test_an_announcement_locks_nobody_out() -> None:
    async with (
        listening(BodyMemoryLimit(BodyBuffer(hello), most=2500)) as port,
        client(port) as liar,
        client(port) as friend,
    ):
        await liar.say(post(1_000_000))
        async with asyncio.timeout(PATIENCE):
            await together([friend], 2000)
            assert b" 200 " in await friend.hear(b"hello")
