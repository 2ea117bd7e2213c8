"""Dishonest: posts times that are not so: about honest accounts with the public key, about made-up ones with the server's."""

import asyncio
from random import Random

from shared.clock import Clock
from tests.chaos.client import Client, Event
from tests.chaos.stream import ROLES, Stream
from tests.chaos.times import LIAR, Envelope, lies, made_up_history

_PAUSE = 1.0
_MOST = 4


class Dishonest:
    """What it tells is a page, which counts nowhere, but would make its account older or later."""

    def __init__(self, client: Client, public: Client, stream: Stream, chance: Random, clock: Clock) -> None:
        self.stopped = False
        self._client = client
        self._public = public
        self._stream = stream
        self._chance = chance
        self._clock = clock
        self._liars = 0

    async def run(self) -> None:
        """Until stopped."""
        while not self.stopped:
            if self._stream.draws and (known := self._stream.latest_accounts()):
                await self._chance.choice((self._of_honest, self._of_honest, self._begin, self._of_liars))(known)
            await asyncio.sleep(self._chance.expovariate(1 / _PAUSE))

    async def _of_honest(self, known: list[str]) -> None:
        account = self._chance.choice(known)
        await self._public.post(self._pages(account, f"{account}-{self._chance.randrange(len(ROLES))}", self._some()))

    async def tell_history(self) -> None:
        """A new account from the first to the last year that anybody writes."""
        self._liars += 1
        name = f"{LIAR}-{self._liars}"
        await self._client.post(self._pages(name, name, made_up_history()))

    async def _begin(self, _known: list[str]) -> None:
        await self.tell_history()

    async def _of_liars(self, _known: list[str]) -> None:
        name = f"{LIAR}-{self._chance.randrange(self._liars + 1)}"
        await self._client.post(self._pages(name, name, self._some()))

    def _some(self) -> list[Envelope]:
        return self._chance.sample(lies(self._clock.now()), self._chance.randint(1, _MOST))

    def _pages(self, account: str, user: str, envelopes: list[Envelope]) -> list[Event]:
        return [{**self._stream.page(account, user), **one} for one in envelopes]
