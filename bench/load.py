"""How is load made? `python -m bench.load`: a process of its own, plain sockets, so that making it costs little."""

import asyncio
import base64
import sys
import time
from collections.abc import Iterator

import msgspec

from bench.events import bodies
from bench.order import Order, Posted
from shared.clock import SystemClock


class Load:
    """Posts prepared requests over several connections, each waiting for its answer before the next."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._requests = [_request(order, body) for body in _bodies(order)]
        self._accepted = 0
        self._refused = 0
        self._answered: dict[str, float] = {}

    async def run(self) -> Posted:
        begun = time.monotonic()
        queue = iter(enumerate(self._requests))
        await asyncio.gather(*(self._connection(queue, begun) for _ in range(self._order.connections)))
        return Posted(begun, time.monotonic(), self._accepted, self._refused, self._answered)

    async def _connection(self, queue: Iterator[tuple[int, bytes]], begun: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._order.port)
        for number, request in queue:
            if self._order.rate:
                due = begun + number * self._order.size / self._order.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            writer.write(request)
            self._count(number, *await _answer(reader))
        writer.close()

    def _count(self, number: int, status: bytes, body: bytes) -> None:
        if status != b"200":
            self._refused += 1
            return
        self._accepted += int(msgspec.json.decode(body)["accepted"])
        newcomer = self._order.newcomer(number)
        if newcomer is not None:
            self._answered[newcomer] = time.monotonic()


def _bodies(order: Order) -> list[bytes]:
    return bodies(order.accounts(), order.size, order.stream, SystemClock().now())


def _request(order: Order, body: bytes) -> bytes:
    user = base64.b64encode(f"{order.key}:".encode()).decode()
    head = (
        f"POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {user}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    return head.split(b" ", 2)[1], await reader.readexactly(length)


def main() -> None:
    """Read the order, prepare, say so, wait for the word, post, report."""
    load = Load(msgspec.json.decode(sys.stdin.buffer.readline(), type=Order))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.buffer.readline()
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(load.run())))


if __name__ == "__main__":
    main()
