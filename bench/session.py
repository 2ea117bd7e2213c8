"""Session: what the rows of one run share: servers, started when the first row needs them, and topics, each filled once."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench import servers
from bench.end_state import End
from bench.plan import Plan, accounts_of
from bench.servers import Servers
from bench.stream import Stream, expected
from bench.topics import Filled, dropped, filled


class Session:
    """One run of the bench. `say` tells progress."""

    def __init__(self, plan: Plan, folder: Path, seed: int, began: datetime, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.folder = folder
        self.seed = seed
        self.say = say
        self._began = began
        self._stack = AsyncExitStack()
        self._once: dict[Any, asyncio.Future[Any]] = {}
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def once(self, key: object, make: Callable[[], Awaitable[Any]]) -> Any:
        """What `make` gives, made at the first call. One that failed fails again, at once."""
        if key not in self._once:
            self._once[key] = asyncio.ensure_future(make())
        return await self._once[key]

    async def servers(self) -> Servers:
        """Raises InvalidResult when they cannot be had."""
        return await self.once("servers", self._started)  # type: ignore[no-any-return]

    async def servers_used(self) -> Servers | None:
        """Those that run, if any row needed them and got them."""
        if "servers" not in self._once or self._once["servers"].exception() is not None:
            return None
        return await self.servers()

    def new(self, what: str) -> Path:
        """A folder of its own, for one round of one row."""
        folder = self.folder / f"{what}-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def stream(self, share: float = 1.0) -> Stream:
        """The stream of the lifecycle rows, or a shorter one for a slow runner."""
        events = self.plan.share(share)
        return Stream(f"of{events}", events, accounts_of(events), self.seed, self._began)

    def remembered(self) -> Stream:
        """The stream of the rows that read from memory."""
        events = self.plan.memory
        return Stream(f"memory{events}", events, accounts_of(events), self.seed, self._began)

    def sessions(self, accounts: int) -> Stream:
        """Runs of twenty events of one account, over so many that are known already: a batch holds as many accounts of each size."""
        return Stream(f"over{accounts}", self.plan.more, accounts, self.seed, self._began, session=20, greeting=True)

    async def filled(self, stream: Stream) -> Filled:
        """The topic that holds this stream."""
        return await self.once(stream, lambda: self._filled(stream))  # type: ignore[no-any-return]

    async def expected(self, stream: Stream) -> End:
        """What must be there after it."""
        return await self.once(("end", stream), lambda: asyncio.to_thread(expected, stream))  # type: ignore[no-any-return]

    async def _started(self) -> Servers:
        self.say("starting Kafka and PostgreSQL")
        theirs = await self._stack.enter_async_context(servers.servers(self.folder))
        self._stack.push_async_callback(dropped, theirs)
        return theirs

    async def _filled(self, stream: Stream) -> Filled:
        self.say(f"writing {stream.whole:,} events of {stream.accounts:,} accounts to Kafka")
        theirs = await self.servers()
        return await filled(theirs, Filled(stream, f"{theirs.prefix}{stream.name}."), range(stream.whole))
