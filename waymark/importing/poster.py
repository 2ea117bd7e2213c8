"""Poster: sends records in batches to `/v1/batch`, each batch until it is accepted.

A lane has one request in flight: what was sent first arrives first. A repeated batch carries the same ids, so the
server stores its events once.
"""

import asyncio
import gzip
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

import httpx2
import msgspec

from waymark.importing.errors import GaveUp, ImportStopped, ServerRefused
from waymark.importing.mapping import Body, HistoryRecord

STREAMS = 16
"""Parts of an import, each of some accounts, that are sent in order: the most connections there can be."""
MAX_BYTES = 4 << 20
"""Of a batch before gzip; the server inflates up to 20 MiB."""
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_WAIT = 60.0


class Progress(NamedTuple):
    """Events that the server has, and the file's bytes they came from; before the first is sent, the bytes read or sorted."""

    events: int
    bytes_read: int
    doing: Literal["reading", "sorting", "sending"] = "sending"


class Posted(NamedTuple):
    """The events that were posted. `accepted` and `rejected` are the server's own counts."""

    events: int
    accepted: int
    rejected: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds if self.seconds else 0.0


class Target(NamedTuple):
    """The server to post to. `retry_seconds` is how long one batch is retried before the import gives up."""

    url: str
    write_key: str
    batch_size: int = 500
    connections: int = 1
    retry_seconds: float = 300.0


OnProgress = Callable[[Progress], None]
Sleep = Callable[[float], Awaitable[None]]


async def post(
    records: Iterable[HistoryRecord],
    target: Target,
    import_id: str,
    on_progress: OnProgress = lambda _: None,
    sleep: Sleep = asyncio.sleep,
) -> Posted:
    """Post everything. Raises ImportStopped (see errors.py) where it cannot go on."""
    began = time.monotonic()
    async with httpx2.AsyncClient(auth=(target.write_key, ""), timeout=60.0) as client:
        poster = _Poster(client, target, on_progress, sleep)
        try:
            await poster.run(batches(records, import_id, target.batch_size, target.connections))
        except ExceptionGroup as several:
            stopped, _ = several.split(ImportStopped)
            raise (_first(stopped) if stopped else several) from None
    return Posted(poster.events, poster.accepted, poster.rejected, time.monotonic() - began)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


class Batch(NamedTuple):
    """A request's body. `bytes_read` are the file's bytes up to its last record."""

    lane: int
    events: int
    content: bytes
    bytes_read: int


class _Lane:
    """The batch that a lane is filling."""

    def __init__(self, number: int) -> None:
        self.number, self.bodies, self.size, self.bytes_read = number, list[msgspec.Raw](), 0, 0

    def add(self, body: bytes, bytes_read: int) -> None:
        self.bodies.append(msgspec.Raw(body))
        self.size += len(body)
        self.bytes_read = bytes_read

    def is_full_for(self, body: bytes, batch_size: int) -> bool:
        return bool(self.bodies) and (len(self.bodies) >= batch_size or self.size + len(body) > MAX_BYTES)

    def flush(self, import_id: str) -> Batch:
        plain = msgspec.json.encode({"batch": self.bodies, "history": import_id, "sentAt": None})
        batch = Batch(self.number, len(self.bodies), gzip.compress(plain, 1, mtime=0), self.bytes_read)
        self.bodies, self.size = [], 0
        return batch


def batches(records: Iterable[HistoryRecord], import_id: str, batch_size: int, lanes: int = 1) -> Iterator[Batch]:
    """All records as batches. An account always takes the same lane, so its order holds if each lane is sent in order.

    A record's position says which of the fixed streams it is in: within one positions only grow, whatever the number of lanes.
    """
    filling = [_Lane(number) for number in range(lanes)]
    for record in records:
        stream = zlib.crc32(record.owner_id.encode()) % STREAMS
        lane = filling[stream % lanes]
        body = msgspec.json.encode(_with_position(record, stream))
        if lane.is_full_for(body, batch_size):
            yield lane.flush(import_id)
        lane.add(body, record.bytes_read)
    yield from (lane.flush(import_id) for lane in filling if lane.bodies)


def _with_position(record: HistoryRecord, stream: int) -> Body:
    if not record.position:
        return record.body
    return {**record.body, "importPosition": f"{stream}{record.series}:{record.position}"}


class _Poster:
    def __init__(self, client: httpx2.AsyncClient, target: Target, on_progress: OnProgress, sleep: Sleep) -> None:
        self._client, self._target, self._on_progress, self._sleep = client, target, on_progress, sleep
        self._url = target.url.rstrip("/") + "/v1/batch"
        self.events = self.accepted = self.rejected = self._bytes_read = 0

    async def run(self, ready: Iterable[Batch]) -> None:
        """Feed the lanes. Each has one batch in flight and one waiting, so the file is read while the network works."""
        lanes = [asyncio.Queue[Batch | None](1) for _ in range(self._target.connections)]
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(self._drain(lane))
            for batch in ready:
                await lanes[batch.lane].put(batch)
            for lane in lanes:
                await lane.put(None)

    async def _drain(self, lane: asyncio.Queue[Batch | None]) -> None:
        while batch := await lane.get():
            answer = await self._post_until_accepted(batch)
            self.events += batch.events
            self.accepted += answer.get("accepted", batch.events)
            self.rejected += answer.get("rejected", 0)
            self._bytes_read = max(self._bytes_read, batch.bytes_read)
            self._on_progress(Progress(self.events, self._bytes_read))

    async def _post_until_accepted(self, batch: Batch) -> dict[str, Any]:
        began, attempt = time.monotonic(), 0
        while True:
            answer, trouble = await self._post_once(batch)
            if answer is not None and answer.is_success:
                return _object(answer)
            if answer is not None and answer.status_code not in _RETRYABLE:
                raise ServerRefused(answer.status_code, str(_object(answer).get("message", "")))
            wait = _wait(answer, attempt)
            if time.monotonic() - began + wait > self._target.retry_seconds:
                raise GaveUp(f"no success within {self._target.retry_seconds:.0f} s at {self._url}: {trouble}")
            await self._sleep(wait)
            attempt += 1

    async def _post_once(self, batch: Batch) -> tuple[httpx2.Response | None, str]:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        try:
            answer = await self._client.post(self._url, content=batch.content, headers=headers)
        except httpx2.TransportError as error:
            return None, str(error) or type(error).__name__
        return answer, f"it answered {answer.status_code}"


def _object(answer: httpx2.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _wait(answer: httpx2.Response | None, attempt: int) -> float:
    """As long as the server asks; else half a second, doubling."""
    retry_after = answer.headers.get("retry-after", "") if answer is not None else ""
    return min(float(retry_after) if retry_after.isdigit() else 0.5 * 2.0 ** min(attempt, 10), _MAX_WAIT)
