"""Health of a service: /livez (the process answers), /readyz (database, migrations, log, loops, lag), /metrics (Prometheus)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.bus.protocol import Bounds, Bus, Partition
from shared.db.protocol import Database, Read
from shared.failures import Halted, Retry
from shared.http.auth import page_refusal
from shared.keys import Keys
from shared.service import dead_letters
from shared.service.consumer import Consumer
from shared.service.context import Notices
from shared.service.supervisor import SupervisedLoop

Check = Callable[[], Awaitable[str]]
"""Gives an empty text when well, else what is wrong and what to do."""
READY_WORDS = {True: "ready", False: "not ready"}
_FRESH, _LONGEST_FRESH, _COST = 1.0, 5.0, 0.05
"""Seconds for which the log's ends and the parked records are believed: the longer it took to ask (in all a twentieth of
the time), the longer, for Kafka asks its brokers and an embedded log a table.
"""
_RETENTION_FRESH = 15.0
_REFRESH_SECONDS = 2.0
"""How long /metrics waits for the log and the database: Prometheus gives up after ten seconds, and would have nothing."""


class Versions(Protocol):
    """Whether the tables and what is stored in them are of this version: each empty when well, else what is wrong."""

    async def migrations(self, read: Read) -> str:
        """Revisions that are missing, or newer than this version."""
        ...

    async def layouts(self, read: Read) -> str:
        """Layouts that a newer version has written."""
        ...


CountDue = Callable[[], Awaitable[int]]
"""How much time has to do in a service now."""


class Health:
    """One service's health."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        consumers: Sequence[Consumer],
        loops: Sequence[SupervisedLoop],
        versions: Versions | None = None,
        notices: Notices | None = None,
        due: CountDue | None = None,
    ) -> None:
        self._database = database
        self._bus = bus
        self._consumers = consumers
        self._loops = loops
        self._versions = versions
        self._notices = notices
        self._count_due = due
        self._due = (0.0, 0)
        self._bounds: tuple[float, dict[Partition, Bounds]] = (0.0, {})
        self._retention = (0.0, "")
        self._parked: tuple[float, dict[tuple[str, str], int]] = (0.0, {})
        self._refreshing: asyncio.Task[None] | None = None
        self.registry = CollectorRegistry()
        self.registry.register(self)

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether it can do its work, and each check with what it found."""
        checks = {"database": await _tried(self._ask_database), "log": await _tried(self._ask_log)}
        checks["log-retention"] = await _tried(self._ask_retention)
        await _tried(self._ask_due)
        if self._versions is not None:
            for name, ask in (("migrations", self._versions.migrations), ("layouts", self._versions.layouts)):
                checks[name] = await _tried(partial(self._ask_versions, ask))
        checks |= {f"loop:{loop.name}": "" if loop.state == "running" else loop.problem for loop in self._loops}
        found = {name: problem or "ok" for name, problem in checks.items()}
        notices = {name: words for name, words in (await self._current_notices()).items() if words}
        return not any(checks.values()), {"checks": found, "notices": notices, "lag": self._lags(), "due": self._due[1]}

    async def refresh(self) -> None:
        """Ask the log and the database for what the metrics show, unless it is fresh; the last figures stay where they fail.

        Whoever asks while an answer is awaited waits for the same one, and nobody for longer than two seconds.
        """
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.wait({self._refreshing}, timeout=_REFRESH_SECONDS)

    async def _refresh(self) -> None:
        await asyncio.gather(
            _tried(self._ask_log), _tried(self._count_parked), _tried(self._ask_due), self._current_notices()
        )

    async def _current_notices(self) -> dict[str, str]:
        """What the service wants somebody to look at; nothing where it cannot say: the checks will have found why."""
        found: dict[str, str] = {}

        async def ask() -> None:
            if self._notices is not None:
                found.update(await self._notices())

        await _tried(ask)
        return found

    def collect(self) -> list[Metric]:
        """Prometheus: lag, handled and parked messages of each group, and whether each loop runs."""
        lag = GaugeMetricFamily("waymark_lag", "Messages not yet handled", labels=["group", "topic", "part"])
        for (group, partition), behind in self._lag_rows():
            lag.add_metric([group, partition.topic, str(partition.number)], behind)
        handled = CounterMetricFamily("waymark_handled_total", "Messages handled", labels=["group"])
        for consumer in self._consumers:
            handled.add_metric([consumer.group], consumer.handled)
        running = GaugeMetricFamily("waymark_loop_running", "1 while the loop runs", labels=["loop"])
        for loop in self._loops:
            running.add_metric([loop.name], float(loop.state == "running"))
        parked = GaugeMetricFamily("waymark_parked", "Records parked and not yet redriven", labels=["group", "reason"])
        groups = {consumer.group for consumer in self._consumers}
        for (group, reason), count in self._parked[1].items():
            if group in groups:  # embedded, all services share the table
                parked.add_metric([group, reason], count)
        due = GaugeMetricFamily("waymark_due", "Accounts for which time has something to do now")
        if self._count_due is not None:
            due.add_metric([], self._due[1])
        return [lag, handled, parked, running, due]

    async def _ask_database(self) -> None:
        async with self._database.snapshot() as read:
            await read.scalar(text("SELECT 1"))
        await self._database.check_writable()

    async def _ask_versions(self, ask: Callable[[Read], Awaitable[str]]) -> None:
        async with self._database.snapshot() as read:
            if wrong := await ask(read):
                raise Halted(wrong)

    async def _ask_retention(self) -> None:
        taken, problem = self._retention
        if taken == 0 or time.monotonic() - taken > _RETENTION_FRESH:
            problem = await self._bus.retention_problem()
            self._retention = (time.monotonic(), problem)
        if problem:
            raise Retry(problem)

    async def _ask_log(self) -> None:
        fresh_until, _ = self._bounds
        if (began := time.monotonic()) > fresh_until:
            topics = sorted({topic for consumer in self._consumers for topic in consumer.topics})
            bounds = await self._bus.bounds(topics) if topics else {}
            self._bounds = (_fresh_until(began), bounds)

    async def _count_parked(self) -> None:
        if self._consumers and (began := time.monotonic()) > self._parked[0]:
            async with self._database.snapshot() as read:
                parked = await dead_letters.count_open(read)
            self._parked = (_fresh_until(began), parked)

    async def _ask_due(self) -> None:
        if self._count_due is not None and (began := time.monotonic()) > self._due[0]:
            due = await self._count_due()
            self._due = (_fresh_until(began), due)

    def _lags(self) -> dict[str, int]:
        return {f"{group} {tp.topic}[{tp.number}]": behind for (group, tp), behind in self._lag_rows()}

    def _lag_rows(self) -> list[tuple[tuple[str, Partition], int]]:
        _, bounds = self._bounds
        return [
            ((consumer.group, partition), max(0, bounds[partition].end - claim.next_offset))
            for consumer in self._consumers
            for partition, claim in consumer.ownership.claims().items()
            if partition in bounds
        ]


def _fresh_until(began: float) -> float:
    """When to ask again, after a question that began then."""
    now = time.monotonic()
    return now + min(max(_FRESH, (now - began) / _COST), _LONGEST_FRESH)


async def _tried(ask: Callable[[], Awaitable[None]]) -> str:
    try:
        await ask()
    except Exception as error:  # noqa: BLE001  any failure is the answer
        return str(error) or repr(error)
    return ""


def install(app: FastAPI, health: Health, keys: Keys | None = None) -> None:
    """Add the three routes. With `keys` the metrics take one of kind read."""

    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        """Whether the service can do its work: each check with its problem, and the lag of each partition. 503 when not."""
        ready, found = await health.ready()
        return JSONResponse({"status": READY_WORDS[ready], **found}, 200 if ready else 503)

    async def metrics(request: Request) -> Response:
        refusal = None if keys is None else page_refusal(keys, request)
        if refusal is not None:
            return refusal
        await health.refresh()
        return Response(generate_latest(health.registry), media_type="text/plain; version=0.0.4")

    for path, answer in (("/livez", livez), ("/readyz", readyz), ("/metrics", metrics)):
        app.add_api_route(path, answer, methods=["GET"], include_in_schema=path == "/readyz", tags=["health"])
