"""Host: a simulated process put together as `waymark/assembly.py` does it, on lines to fake servers."""

import asyncio
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from services.advocacy import wiring as advocacy
from services.lifecycle import wiring as lifecycle
from services.notify.channels.channel import Built
from services.notify.channels.email import EmailSender
from services.notify.channels.webhook import WebhookSender
from services.notify.core.playbook import Playbook
from services.notify.wiring import build, definition
from shared.bus.embedded import EmbeddedBus
from shared.bus.outbox import LogOutbox
from shared.bus.relay import Relay
from shared.clock import MeasuredClock
from shared.contracts.topics import Topic
from shared.keys import Keys
from shared.service.clock_watch import ClockWatch, WatchedClock
from shared.service.consumer import DEFAULT_POLL, Consumer, PollSettings
from shared.service.context import Service, ServiceContext
from shared.service.processor import Decode, Handler, MessageBatch
from shared.service.supervisor import SupervisedLoop
from shared.settings import Settings
from shared.storage import Storage
from tests.chaos.mutants import replaced
from tests.chaos.trusted import BROWSER
from tests.simulation.bus import FakeBus
from tests.simulation.cluster import Cluster
from tests.simulation.database import FakeDatabase, Server
from tests.simulation.process import Process
from tests.simulation.sinks import FakeEgress, FakeSmtp, Sinks
from waymark import assembly

COMPANY = Path(__file__).parent / "company"
KEY = "write-key-of-the-simulation"
BROWSER_KEY = "public-key-of-the-simulation"
SETTINGS = Settings(
    config=COMPANY,
    data=COMPANY,
    public_url="https://waymark.example",
    outreach="live",
    live_despite="all",
    first_sends=0,
    send_lease=20,
    advocacy_patience=86_400,  # advocacy is down for longer here than anybody would wait, and I10 asks for its order
    bus_url="kafka://simulated",
)
_KEYS = Keys([("server", "product", KEY), ("browser", BROWSER, BROWSER_KEY)])
_SIGNED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_notify = cache(partial(definition, SETTINGS))
_definition, _advocacy = (
    cache(partial(lifecycle.load_definition, SETTINGS)),
    cache(partial(advocacy.definitions, SETTINGS)),
)
"""Read once a run of many seeds: the company does not change."""


def playbook() -> Playbook:
    """The company's plays and its budget."""
    return _notify().playbook


class Watched(ServiceContext):
    """A context whose consumers note in the transaction what they handle, and tell who handles it."""

    def consumer(
        self,
        group: str,
        topics: Sequence[Topic],
        handler: Handler,
        decode: Decode | None = None,
        poll: PollSettings = DEFAULT_POLL,
    ) -> Consumer:
        async def noted(tx: Any, batch: MessageBatch) -> None:
            tx.note(
                "batch",
                batch.topic.name,
                batch.messages,
                f"{batch.topic.name}[{batch.partition}]@{batch.start_offset}",
            )
            await handler(tx, batch)

        made = super().consumer(group, topics, noted, decode, poll)
        made.handlers = handler.__self__  # type: ignore[attr-defined]
        return made


class Host:
    """One running process with its services; `data` is its machine's folder."""

    def __init__(self, process: Process, machine: MeasuredClock, sinks: Sinks, data: Path) -> None:
        self.process = process
        self.services: dict[str, Service] = {}
        self.contexts: dict[str, Watched] = {}
        self.loops: list[Any] = []
        self._clock = WatchedClock(machine)
        self._watch: ClockWatch | None = None
        self._data = data
        self._sinks = sinks

    def scaled(self, service: str, server: Server, cluster: Cluster) -> None:
        """One service on a database of its own and the cluster."""
        bus, database = FakeBus(cluster, self.process), FakeDatabase(server, self.process)
        log = self.process.log = LogOutbox(bus.partitions, self._clock)
        relay = Relay(service, database, bus.producer, log.notifier, self._clock, self.process.name)  # type: ignore[arg-type]
        self._start(service, Storage(database, bus, database, relay), SETTINGS)

    def embedded(self, services: Sequence[str], server: Server) -> None:
        """Every service on one database, the log in it. Without log retention: the log is evidence."""
        database = FakeDatabase(server, self.process)
        log = self.process.log = LogOutbox(lambda _topic: 1, self._clock)
        store = Storage(database, EmbeddedBus(database, log, 1), database)
        for name in services:
            self._start(name, store, SETTINGS.model_copy(update={"bus_url": None}))

    def _start(self, name: str, store: Storage, settings: Settings) -> None:
        if self._watch is None:
            on_machine = settings.model_copy(update={"data": self._data})
            self._watch = assembly._clock_watch(on_machine, name, self._clock, store)  # noqa: SLF001  likewise
        given = (settings, self._clock, store.database, store.bus, _KEYS, b"s" * 32, self.process.name, store.access)
        context = Watched(*given, self._watch)
        service = self.services[name] = self._wired(name, context)
        self.contexts[name] = context
        retention = assembly._retention(service, context)  # noqa: SLF001  what production runs
        for loop in assembly._loops(service, context, store, retention):  # noqa: SLF001  likewise
            self.loops.append(loop)
            self.process.spawn(self._after_a_look(loop), loop.name)

    async def _after_a_look(self, loop: SupervisedLoop) -> None:
        """As in production nothing runs before the clock was looked at: a start without a database is tried again."""
        assert self._watch is not None
        while True:
            try:
                await self._watch.problem()
            except Exception:  # noqa: BLE001  whatever kept it from the database
                await asyncio.sleep(1.0)
            else:
                return await loop.run()

    def _wired(self, name: str, context: Watched) -> Service:
        nobody_asks = replaced(APIRouter, "add_api_route", lambda *_given, **_options: None)
        with (
            nobody_asks,
            replaced(lifecycle, "load_definition", lambda _: _definition()),
            replaced(advocacy, "definitions", lambda _: _advocacy()),
        ):
            if name == "notify":
                return build(context, _notify(), self._channels())
            return assembly.WIRES[name](context)

    def _channels(self) -> Built:
        """The real ones, with a fake other end."""
        smtp, egress = partial(FakeSmtp, self._sinks, self.process), FakeEgress(self._sinks, self.process)
        senders = {
            "email": EmailSender(smtp, "us <us@waymark.example>", self._clock.now),  # type: ignore[arg-type]
            "webhook": WebhookSender(egress, "https://sink.example", _SIGNED, self._clock.now),  # type: ignore[arg-type]
        }
        return Built(senders, {})

    async def stop(self) -> None:
        """As a signal does: ask, wait a little, then it is dead all the same."""
        self.process.stop()
        for _ in range(100):
            if not self.process.tasks:
                break
            await asyncio.sleep(0.1)
        self.process.kill()
