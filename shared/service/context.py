"""Service context: the database, log, clock and keys that a service is built from; and Service, what it is built into."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from fastapi import FastAPI
from prometheus_client.registry import Collector
from starlette.routing import BaseRoute

from shared.bus.protocol import Bus
from shared.clock import Clock
from shared.contracts.topics import Topic
from shared.db.protocol import Database, Read
from shared.failures import Halted
from shared.keys import Keys
from shared.service.clock_watch import ClockWatch, receipt_clock
from shared.service.consumer import DEFAULT_POLL, Consumer, GiveUp, PollSettings
from shared.service.processor import Decode, Handler
from shared.service.retention import RetentionPolicy
from shared.service.time_slice import SHARE_OF_SESSION
from shared.settings import Settings

Work = Callable[[], Awaitable[None]]
Notices = Callable[[], Awaitable[Mapping[str, str]]]
"""What somebody should look at although the service does its work: name -> what is wrong and what to do."""


class ServiceContext(NamedTuple):
    """What a service is built from. `secret` signs links, `owner` names this process, `access` is the database of keys.

    `clock_watch` checks the clock; None for a clock that nothing can be held against.
    """

    settings: Settings
    clock: Clock
    database: Database
    bus: Bus
    keys: Keys
    secret: bytes
    owner: str
    access: Database
    clock_watch: ClockWatch | None = None

    def by_the_clock(self, work: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
        """Work of time, held while the clock cannot be right."""
        return work if self.clock_watch is None else self.clock_watch.guarded(work)

    @property
    def slice_seconds(self) -> float:
        """How long a transaction may decide."""
        return self.settings.session_seconds / SHARE_OF_SESSION

    @property
    def receipt_clock(self) -> Clock:
        """The clock that stamps what is received."""
        return receipt_clock(self.clock)

    def consumer(
        self,
        group: str,
        topics: Sequence[Topic],
        handler: Handler,
        decode: Decode | None = None,
        poll: PollSettings = DEFAULT_POLL,
    ) -> Consumer:
        """A consumer of these topics, with its cursor in this service's database.

        Where others may send what they like (`decode` is given) it waits while it is not known what time it is. One that stalls for good ends a process that a supervisor starts again; embedded, everything else goes on.
        """
        give_up: GiveUp = Halted if self.settings.embedded else SystemExit
        may_handle = self.clock_watch.decided if self.clock_watch is not None and decode is not None else None
        return Consumer(
            *(group, topics, handler, self.bus, self.database, self.clock, self.owner, poll, decode),
            give_up=give_up,
            may_handle=may_handle,
            ask_time=None if self.clock_watch is None else self.clock_watch.problem,
            slice_seconds=self.slice_seconds,
        )


class DueWork(NamedTuple):
    """What time alone brings in a service: how much of it is due until then, and how to have it looked at now."""

    how_many: Callable[[Read, datetime], Awaitable[int]]
    wake: asyncio.Event


@dataclass(frozen=True)
class Service:
    """A service ready to run: its application served under `/NAME`, its consumers and its loops.

    `loops` run for ever beside the consumers (timers, sends). `root` are routes served at the root of the host, `collectors`
    are metrics of its own beside those that every service has; `retention` says which of its rows go with their age.
    `documented`: it has a REST interface, and OpenAPI pages of it.
    `notices` are asked for by readyz and before each scrape. `due` is what its timers have to do.
    """

    name: str
    app: FastAPI
    consumers: Sequence[Consumer] = ()
    loops: dict[str, Work] = field(default_factory=dict)
    root: Sequence[BaseRoute] = ()
    collectors: Sequence[Collector] = ()
    documented: bool = True
    retention: Sequence[RetentionPolicy] = ()
    notices: Notices | None = None
    due: DueWork | None = None
