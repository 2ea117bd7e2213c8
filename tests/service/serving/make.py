"""Builders for tests of serving: an application behind our own server, and clients that speak raw bytes to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from waymark.serving import Limits, _bound, config

ASKED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE = 60.0


@asynccontextmanager
async def listening(app: ASGIApp, limits: Limits | None = None) -> AsyncIterator[int]:
    """The application on a port of its own."""
    socket = _bound("127.0.0.1", 0)
    server = uvicorn.Server(config(app, limits))
    task = asyncio.create_task(server.serve(sockets=[socket]))
    try:
        while not server.started:  # noqa: ASYNC110  uvicorn offers no event for it
            await asyncio.sleep(0.01)
        yield int(socket.getsockname()[1])
    finally:
        server.should_exit = True
        await task
        socket.close()


class Client:
    """A connection that says exactly what a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def hear(self, until: bytes) -> bytes:
        """Everything up to this."""
        async with asyncio.timeout(PATIENCE):
            return await self._reader.readuntil(until)

    async def rest(self) -> bytes:
        """Everything until the server hangs up, in whatever way."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def hello(scope: object, receive: object, send: object) -> None:
    """Answers whatever is asked, without looking at it."""
    await PlainTextResponse("hello")(scope, receive, send)  # type: ignore[arg-type]


def waiting(until: asyncio.Event, begun: Callable[[], None] = lambda: None) -> ASGIApp:
    """Answers when the event comes."""

    async def app(scope: object, receive: object, send: object) -> None:
        begun()
        request = Request(scope, receive)  # type: ignore[arg-type]
        await until.wait()
        answer: Response = PlainTextResponse(f"waited for {request.url.path}")
        await answer(scope, receive, send)  # type: ignore[arg-type]

    return app
