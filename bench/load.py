"""Load generator: `python -m bench.load`, a process of its own with raw sockets, so that making load costs little."""

import asyncio
import base64
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from bench.load_control import Order, Posted
from bench.stream import FEATURES, name_of
from shared.clock import SystemClock

_NOTE = "synthetic event of the bench, padded to the size that real ones have: " + "x" * 38
_encode = msgspec.json.encode


def event(number: int, account: int, stream: str, at: datetime) -> dict[str, object]:
    """One use of a feature."""
    return {
        "type": "track",
        "event": "Feature Used",
        "messageId": f"{stream}-{number:08d}",
        "timestamp": (at + timedelta(microseconds=number)).isoformat(),
        "userId": f"{name_of(account)}-u{number % 3}",
        "context": {"groupId": name_of(account)},
        "properties": {"feature": FEATURES[number % len(FEATURES)], "note": _NOTE},
    }


def bodies(numbers_and_accounts: Sequence[tuple[int, int]], size: int, stream: str, at: datetime) -> list[bytes]:
    """The events as bodies of `size` events each."""
    every = [event(number, account, stream, at) for number, account in numbers_and_accounts]
    return [_encode({"batch": every[start : start + size]}) for start in range(0, len(every), size)]


_HEAD = b"\r\n\r\n"
Requests = Iterator[tuple[int, bytes]]


class Counts:
    """What came of the posts so far."""

    def __init__(self) -> None:
        self.accepted = 0
        self.refused = 0
        self.posts = 0
        self.answered: dict[int, float] = {}

    def count(self, number: int, status: bytes, body: bytes) -> None:
        self.posts += 1
        if status != b"200":
            self.refused += 1
            return
        self.accepted += int(msgspec.json.decode(body)["accepted"])
        self.answered[number] = time.monotonic()


class Connection(asyncio.Protocol):
    """Posts one after the other; each waits for the answer to the one before."""

    def __init__(self, requests: Requests, tally: Counts, begun: float, gap: float) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._tally = tally
        self._begun = begun
        self._gap = gap
        self._number = 0
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(_HEAD)
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) >= length:
            self._read = b""
            self._tally.count(self._number, head.split(b" ", 2)[1], body)
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(exc or ConnectionError("the server hung up"))

    def _next(self) -> None:
        """One that is not due yet is waited for."""
        number, request = next(self._requests, (-1, b""))
        if number < 0:
            self.over.set_result(None)
            self._transport.close()
            return
        self._number = number
        wait = self._due(number)
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._write, request)
        else:
            self._write(request)

    def _due(self, number: int) -> float:
        return 0.0 if self._gap == 0 else self._begun + number * self._gap - time.monotonic()

    def _write(self, request: bytes) -> None:
        self._transport.write(request)


async def run(order: Order, requests: list[bytes]) -> Posted:
    """Post all of them, or for as long as was ordered."""
    tally, begun = Counts(), time.monotonic()
    queue = _until(begun + order.seconds, requests) if order.seconds else enumerate(requests)
    gap, loop = order.size / order.rate if order.rate else 0.0, asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(queue, tally, begun, gap), "127.0.0.1", order.port)
        for _ in range(order.connections)
    ]
    await asyncio.gather(*(connection.over for _, connection in opened))
    return Posted(begun, time.monotonic(), tally.accepted, tally.refused, tally.posts, tally.answered)


def _until(end: float, requests: list[bytes]) -> Requests:
    for number, request in enumerate(cycle(requests)):
        if time.monotonic() >= end:
            return
        yield number, request


def prepared(order: Order) -> list[bytes]:
    """The posts, head and body."""
    every = bodies(order.accounts(), order.size, order.stream, SystemClock().now())
    return [_request(order, body) for body in every]


def _request(order: Order, body: bytes) -> bytes:
    user = base64.b64encode(f"{order.key}:".encode()).decode()
    head = (
        f"POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {user}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Read the order, prepare, say so, wait for the word, post, report into the file that was named.

    RowReport through the pipe the report, some 60 KB, came cut short once in a hundred times; why, we do not know.
    """
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    requests = prepared(order)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.buffer.readline()
    Path(sys.argv[1]).write_bytes(msgspec.json.encode(uvloop.run(run(order, requests))))


if __name__ == "__main__":
    main()
