"""Which records travel together? Batches of a lane, in order: full by number or by size, encoded and gzipped."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from waymark.importing.history import Record

MAX_BYTES = 4 << 20
"""Of a batch before gzip; the server inflates up to 20 MiB."""


class Batch(NamedTuple):
    """A request's body. `read` is how far into the file its last record took us."""

    lane: int
    events: int
    content: bytes
    read: int


class _Open:
    """The batch a lane is filling."""

    def __init__(self, lane: int) -> None:
        self.lane, self.bodies, self.size, self.read = lane, list[msgspec.Raw](), 0, 0

    def add(self, body: bytes, read: int) -> None:
        self.bodies.append(msgspec.Raw(body))
        self.size += len(body)
        self.read = read

    def closed(self, history: str) -> Batch:
        plain = msgspec.json.encode({"batch": self.bodies, "history": history, "sentAt": None})
        batch = Batch(self.lane, len(self.bodies), gzip.compress(plain, 1, mtime=0), self.read)
        self.bodies, self.size = [], 0
        return batch


def batches(records: Iterable[Record], history: str, size: int, lanes: int = 1) -> Iterator[Batch]:
    """All records as batches. An account always takes the same lane, so its order holds if each lane is sent in order."""
    filling = [_Open(lane) for lane in range(lanes)]
    for record in records:
        lane = filling[zlib.crc32(record.account.encode()) % lanes]
        body = msgspec.json.encode(record.body)
        if lane.bodies and (len(lane.bodies) >= size or lane.size + len(body) > MAX_BYTES):
            yield lane.closed(history)
        lane.add(body, record.read)
    yield from (lane.closed(history) for lane in filling if lane.bodies)
