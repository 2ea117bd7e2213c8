"""What is every service given, and what does it give back?"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fastapi import FastAPI
from starlette.routing import BaseRoute

from shared.bus.protocol import Bus
from shared.clock import Clock
from shared.contracts.topics import Topic
from shared.db.protocol import Database
from shared.failures import Halted
from shared.keys import Keys
from shared.service.passage import USUAL, GiveUp, Handle, Look, Passage
from shared.service.unpacking import Decode
from shared.settings import Settings

Work = Callable[[], Awaitable[None]]


class Parts(NamedTuple):
    """What a service is built from. `secret` signs links, `owner` names this process."""

    settings: Settings
    clock: Clock
    database: Database
    bus: Bus
    keys: Keys
    secret: bytes
    owner: str

    def passage(
        self, group: str, topics: Sequence[Topic], handle: Handle, decode: Decode | None = None, look: Look = USUAL
    ) -> Passage:
        """A consumer of these topics, with its cursor in this service's database.

        One that is stuck for good ends a process that a supervisor starts again; embedded, everything else goes on.
        """
        give_up: GiveUp = Halted if self.settings.embedded else SystemExit
        parts = (self.bus, self.database, self.clock, self.owner)
        return Passage(group, topics, handle, *parts, look, decode=decode, give_up=give_up)


@dataclass(frozen=True)
class Service:
    """A service ready to run: served under `/NAME`, with what it reads and what it does by itself.

    `loops` run for ever beside the passages (timers, sends). `root` are routes served at the root of the host.
    """

    name: str
    app: FastAPI
    passages: Sequence[Passage] = ()
    loops: dict[str, Work] = field(default_factory=dict)
    root: Sequence[BaseRoute] = ()
