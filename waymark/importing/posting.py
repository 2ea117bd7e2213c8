"""How do the records reach the server? Batch after batch to `/v1/batch`, each one until it is accepted.

A lane has one request in flight: what was sent first arrives first. Whatever is repeated carries the same ids, so
the server keeps it once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import httpx2

from waymark.importing.batches import Batch, batches
from waymark.importing.failures import GaveUp, ImportStopped, Refused
from waymark.importing.history import Record

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 60.0


class Progress(NamedTuple):
    """How far it is: events the server has, and the file's bytes they came from."""

    posted: int
    read: int


class Posted(NamedTuple):
    """What the server took. `accepted` and `rejected` are its own counts."""

    events: int
    accepted: int
    rejected: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds if self.seconds else 0.0


class Target(NamedTuple):
    """Where to post, and how patiently: `patience` is the seconds a batch may stay without success."""

    url: str
    write_key: str
    batch_size: int = 500
    connections: int = 1
    patience: float = 300.0


Told = Callable[[Progress], None]
Pause = Callable[[float], Awaitable[None]]


async def post(
    records: Iterable[Record],
    target: Target,
    history: str,
    progress: Told = lambda _: None,
    pause: Pause = asyncio.sleep,
) -> Posted:
    """Post everything. Raises ImportStopped (see failures.py) where it cannot go on."""
    began = time.monotonic()
    async with httpx2.AsyncClient(auth=(target.write_key, ""), timeout=60.0) as client:
        poster = _Poster(client, target, progress, pause)
        try:
            await poster.run(batches(records, history, target.batch_size, target.connections))
        except ExceptionGroup as several:
            stopped, _ = several.split(ImportStopped)
            raise (_first(stopped) if stopped else several) from None
    return Posted(poster.events, poster.accepted, poster.rejected, time.monotonic() - began)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


class _Poster:
    def __init__(self, client: httpx2.AsyncClient, target: Target, progress: Told, pause: Pause) -> None:
        self._client, self._target, self._progress, self._pause = client, target, progress, pause
        self._address = target.url.rstrip("/") + "/v1/batch"
        self.events = self.accepted = self.rejected = self._read = 0

    async def run(self, ready: Iterable[Batch]) -> None:
        """Feed the lanes. Each holds one batch in flight and one waiting, so the file is read while the network works."""
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
            said = await self._until_accepted(batch)
            self.events += batch.events
            self.accepted += said.get("accepted", batch.events)
            self.rejected += said.get("rejected", 0)
            self._read = max(self._read, batch.read)
            self._progress(Progress(self.events, self._read))

    async def _until_accepted(self, batch: Batch) -> dict[str, Any]:
        began, attempt = time.monotonic(), 0
        while True:
            answer, trouble = await self._once(batch)
            if answer is not None and answer.is_success:
                return _object(answer)
            if answer is not None and answer.status_code not in _AGAIN:
                raise Refused(answer.status_code, str(_object(answer).get("message", "")))
            wait = _wait(answer, attempt)
            if time.monotonic() - began + wait > self._target.patience:
                raise GaveUp(f"no success within {self._target.patience:.0f} s at {self._address}: {trouble}")
            await self._pause(wait)
            attempt += 1

    async def _once(self, batch: Batch) -> tuple[httpx2.Response | None, str]:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        try:
            answer = await self._client.post(self._address, content=batch.content, headers=headers)
        except httpx2.TransportError as error:
            return None, str(error) or type(error).__name__
        return answer, f"it answered {answer.status_code}"


def _object(answer: httpx2.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _wait(answer: httpx2.Response | None, attempt: int) -> float:
    """As long as the server asks; else half a second, doubling."""
    asked = answer.headers.get("retry-after", "") if answer is not None else ""
    return min(float(asked) if asked.isdigit() else 0.5 * 2.0 ** min(attempt, 10), _LONGEST_PAUSE)
