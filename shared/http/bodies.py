"""Request bodies: limits of size and time for each, and of memory for all of them together."""

import asyncio
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.failures import Failure, Refused, Retry
from shared.http.problem import from_error

MIB = 1024 * 1024


class BodyTimeouts(NamedTuple):
    """Seconds to wait for the next piece of a body, and for all of it."""

    piece: float = 10.0
    whole: float = 60.0


async def read_body(scope: Scope, receive: Receive, most: int, timeouts: BodyTimeouts) -> bytes:
    """The body. Raises Refused: 413 when it is over `most` bytes, 408 when it is slow, 400 when it is cut off."""
    length = header(scope, b"content-length").decode("latin1")
    if length.isdecimal() and (len(length) > len(str(most)) or int(length) > most):
        raise _too_large(most)
    try:
        return await _received(receive, most, timeouts)
    except TimeoutError:
        raise Refused("the body did not arrive in time", "slow_body", 408) from None


async def _received(receive: Receive, most: int, timeouts: BodyTimeouts) -> bytes:
    now = asyncio.get_running_loop().time
    chunks: list[bytes] = []
    size, more, end = 0, True, now() + timeouts.whole
    while more:
        async with asyncio.timeout_at(min(now() + timeouts.piece, end)):
            message = await receive()
        if message["type"] != "http.request":
            raise Refused("the connection ended before the body did", "cut_body")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(most: int) -> Refused:
    return Refused(f"the body is over {most} bytes", "too_large", 413)


def header(scope: Scope, name: bytes) -> bytes:
    """The first header of this name (lower case); empty where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


class BodyBuffer:
    """ASGI middleware: a route begins only when its body is here, complete and small enough."""

    def __init__(self, app: ASGIApp, most: int = MIB, timeouts: BodyTimeouts | None = None) -> None:
        self._app = app
        self._most = most
        self._timeouts = timeouts or BodyTimeouts(whole=20.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = await read_body(scope, receive, self._most, self._timeouts)
        except Failure as error:
            await from_error(error)(scope, receive, send)
        else:
            await self._app(scope, _replayed(body, receive), send)


def _has_body(scope: Scope) -> bool:
    return header(scope, b"content-length") not in {b"", b"0"} or bool(header(scope, b"transfer-encoding"))


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body once, then whatever the connection says."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


class BodyMemoryLimit:
    """ASGI middleware: the bytes of a body count until its request is answered. Beyond `most` bytes a body ends in Retry.

    Bytes received count, not bytes announced: an announcement costs nothing, and would lock the others out.
    """

    def __init__(self, app: ASGIApp, most: int = 128 * MIB) -> None:
        self._app = app
        self._most = most
        self._in_memory = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        mine = 0

        async def counted() -> Message:
            nonlocal mine
            message = await receive()
            size = len(message.get("body", b""))
            if size and self._in_memory + size > self._most:
                raise Retry("too many bodies are being read at once; retry later")
            mine += size
            self._in_memory += size
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._in_memory -= mine
