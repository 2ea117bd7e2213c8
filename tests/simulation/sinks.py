"""Sinks: fake mail server and webhook receiver, which write down what they accept before they answer, if they do."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx2
from aiosmtplib import (
    SMTPConnectError,
    SMTPDataError,
    SMTPRecipientRefused,
    SMTPResponse,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from tests.simulation.chance import Chance
from tests.simulation.clock import Clock
from tests.simulation.process import Killed, Process
from tests.simulation.trace import Trace

_PATIENCE = 5.0
_SERVER_PATIENCE = 600.0
"""Seconds that a mail server waits for the client's next word: RFC 5321 asks for five minutes at least, and none waits for days."""
_LONG = 0.1
_ID = re.compile(rb"^Message-ID: <([^@>]+)@", re.MULTILINE)


class Accepted(NamedTuple):
    """One line of a sink's journal."""

    channel: str
    delivery: str
    at: float


class Sinks:
    """The journal of both sinks."""

    def __init__(self, chance: Chance, trace: Trace, clock: Clock) -> None:
        self.journal: list[Accepted] = []
        self.freeze: Callable[[Process], None] = lambda _process: None
        self.meanwhile: Callable[[], None] = lambda: None
        """What somebody does while we talk about a mail to them."""
        self.chance = chance
        self.trace = trace
        self._clock = clock

    def now(self) -> float:
        """Seconds since 1970 on the sinks' clock."""
        return self._clock.now().timestamp()

    def accept(self, channel: str, delivery: str, who: str) -> None:
        self.journal.append(Accepted(channel, delivery, self.now()))
        self.trace.say("accepted", who, f"{channel} {delivery}")


class _Line:
    """One conversation of one process."""

    def __init__(self, sinks: Sinks, process: Process) -> None:
        self.sinks = sinks
        self.process = process

    def hits(self, kind: str) -> bool:
        return self.sinks.chance.hits(kind, self.process.name)

    def perhaps_die(self) -> None:
        if self.hits("killed while sending"):
            self.process.kill()
            raise Killed


class FakeSmtp(_Line):
    """The methods of aiosmtplib's client that our channel uses."""

    def __init__(self, sinks: Sinks, process: Process) -> None:
        super().__init__(sinks, process)
        self._heard = sinks.now()

    async def connect(self) -> None:
        await self.process.lag()
        if self.hits("sink down"):
            raise SMTPConnectError("nobody listens")
        self.perhaps_die()

    async def mail(self, _sender: str) -> None:
        if self.hits("frozen while sending"):
            self.sinks.freeze(self.process)
        await self.process.lag()

    async def rcpt(self, recipient: str) -> None:
        if self.hits("a no while sending"):
            self.sinks.meanwhile()
            await self.process.lag(_LONG)
        await self.process.lag()
        if self.hits("sink refuses"):
            raise SMTPRecipientRefused(550, "no such user", recipient)
        if self.hits("sink says later"):
            raise SMTPRecipientRefused(451, "greylisted", recipient)
        self._heard = self.sinks.now()

    async def data(self, content: bytes) -> SMTPResponse:
        await self.process.lag()
        if self.sinks.now() - self._heard > _SERVER_PATIENCE:
            raise SMTPServerDisconnected("the server has hung up: it heard nothing for ten minutes")
        self.perhaps_die()
        if self.hits("sink drops"):
            raise SMTPServerDisconnected("the connection was lost")
        if self.hits("sink says later"):
            raise SMTPDataError(452, "disk full")
        found = _ID.search(content)
        assert found is not None
        self.sinks.accept("email", found[1].decode(), self.process.name)
        self.perhaps_die()
        if self.hits("sink hangs"):
            await self.process.lag(_PATIENCE)
            raise SMTPTimeoutError("no answer")
        if self.hits("sink's answer lost"):
            raise SMTPServerDisconnected("the connection was lost")
        await self.process.lag()
        return SMTPResponse(250, "taken")

    async def quit(self, timeout: float) -> None:  # noqa: ASYNC109  aiosmtplib's
        await self.process.lag()
        if self.hits("sink hangs"):
            await asyncio.sleep(timeout)
            raise SMTPTimeoutError("no goodbye")

    def close(self) -> None:
        """Nothing to give back."""


class _Answer(NamedTuple):
    status: int


class FakeEgress(_Line):
    """The way out of our webhook channel."""

    async def post(self, _url: str, _body: bytes, headers: dict[str, Any]) -> _Answer:
        await self.process.lag()
        self.perhaps_die()
        if self.hits("sink down"):
            raise httpx2.ConnectError("nobody listens")
        if self.hits("sink refuses"):
            return _Answer(404)
        if self.hits("sink says later"):
            return _Answer(503)
        self.sinks.accept("webhook", headers["webhook-id"], self.process.name)
        self.perhaps_die()
        if self.hits("sink hangs"):
            await self.process.lag(_PATIENCE)
            raise TimeoutError
        if self.hits("sink's answer lost"):
            raise httpx2.ReadError("the connection was lost")
        return _Answer(200)
