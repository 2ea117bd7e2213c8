"""Stream: the events of some hundred accounts, drawn from the seed, with repetitions and with mistakes."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from random import Random

from shared.clock import Clock
from tests.chaos.client import Client, Event
from tests.chaos.journal import Journal

ROLES = ("member", "admin", "owner")
_POSTERS = 4
_MOST_AT_ONCE = 25
_WAITING = 200
_A_LIFE = 26
"""Live uses of an account, about: enough for every signal of the company."""


class Stream:
    """Makes events, and posts them. `allowed` journals the ids of events that are wrong in themselves."""

    def __init__(self, client: Client, chance: Random, clock: Clock, allowed: Journal, rate: float) -> None:
        self.stopped = False
        self.draws = True
        """Whether new things happen by themselves; what people do is posted until `stopped`."""
        self._client = client
        self._chance = chance
        self._clock = clock
        self._allowed = allowed
        self._rate = rate
        self._queue: asyncio.Queue[list[Event]] = asyncio.Queue(_WAITING)
        self._number = 0
        self._accounts: list[str] = []
        self._count = 0

    async def run(self) -> None:
        """Until stopped, and then until everything made is safe."""
        posters = [asyncio.create_task(self._post()) for _ in range(_POSTERS)]
        try:
            while not self.stopped:
                if self.draws:
                    await self._queue.put(self._draw())
                await asyncio.sleep(self._chance.expovariate(self._rate / 4))
            await self._queue.join()
        finally:
            for poster in posters:
                poster.cancel()

    async def put(self, events: list[Event]) -> None:
        """Somebody did something in the product."""
        await self._queue.put(events)

    async def _post(self) -> None:
        while True:
            batch = [*await self._queue.get()]
            taken = 1
            while len(batch) < _MOST_AT_ONCE and not self._queue.empty():
                batch += self._queue.get_nowait()
                taken += 1
            await self._posted(batch)
            for _ in range(taken):
                self._queue.task_done()

    async def _posted(self, batch: list[Event]) -> None:
        """As SDKs do: once, twice at the same time, or again later."""
        twice = self._chance.random() < 0.05
        await asyncio.gather(*(self._client.post(batch) for _ in range(1 + twice)))
        if self._chance.random() < 0.06:
            await self._client.post(self._chance.sample(batch, max(1, len(batch) // 2)))

    def _draw(self) -> list[Event]:
        lot = self._chance.random()
        if not self._accounts or lot < 4 / _A_LIFE:
            return list(self._begin(f"acct-{self._next_account():05}", self._chance.randrange(3, 9)))
        if lot < 4 / _A_LIFE + 0.02:
            return list(self._wrong())
        account = self._chance.choice(self.latest_accounts())
        uses = [self.use(account) for _ in range(self._chance.randrange(1, 8))]
        if self._chance.random() < 0.1:
            uses.append(self.fact(account, "subscription_started", mrr=self._chance.randrange(1, 9) * 100))
        return uses

    def latest_accounts(self) -> list[str]:
        """Those in which something goes on."""
        return self._accounts[-60:]

    def _next_account(self) -> int:
        self._count += 1
        return self._count

    def _begin(self, account: str, days: int) -> Iterator[Event]:
        """An account whose first days are past already: time has something to do for it."""
        began = self._clock.now() - timedelta(days=days)
        for place, role in enumerate(reversed(ROLES)):  # the owner first: the welcome is for them
            yield self.person(account, role, began + timedelta(minutes=place))
        yield self.use(account, began + timedelta(hours=1))
        self._accounts.append(account)

    def person(self, account: str, role: str, at: object = None) -> Event:
        user = f"{account}-{ROLES.index(role)}"
        traits = {"email": _address(account, user, role), "name": f"{role} of {account}", "role": role}
        return self._event(account, user, at, type="identify", traits=traits)

    def use(self, account: str, at: object = None) -> Event:
        user = f"{account}-{self._chance.randrange(3)}"
        properties = {"feature": f"f{self._chance.randrange(5)}"}
        return self._event(account, user, at, type="track", event="feature_used", properties=properties)

    def page(self, account: str, user: str) -> Event:
        """Somebody looked at a page, which counts nowhere."""
        return self._event(account, user, None, type="page", name="Start")

    def fact(self, account: str, name: str, **properties: object) -> Event:
        return self._event(account, f"{account}-2", None, type="track", event=name, properties=properties)

    def _wrong(self) -> Iterator[Event]:
        """A type nobody knows, a use without a name, a user whose account nobody knows."""
        account = self._chance.choice(self._accounts)
        yield self._event(account, f"{account}-0", None, type="nonsense")
        yield self._event(account, f"{account}-0", None, type="track", event=" ")
        stray = self._event("", f"stray-{self._number}", None, type="track", event="feature_used")
        yield stray
        self._allowed.add([f"e{self._number - back}" for back in range(3)])

    def _event(self, account: str, user: str, at: object, **more: object) -> Event:
        self._number += 1
        when = (at or self._clock.now()).isoformat()  # type: ignore[attr-defined]
        event: Event = {"messageId": f"e{self._number}", "userId": user, "timestamp": when, **more}
        return {**event, "context": {"groupId": account}} if account else event


def _address(account: str, user: str, role: str) -> str:
    """Of every four accounts two have one owner, who spells the address differently."""
    kind, _, number = account.partition("-")
    if kind != "acct" or role != "owner" or int(number) % 4 > 1:
        return f"{user}@{account}.example"
    address = f"owner@agency-{int(number) // 4}.example"
    return address.upper() if int(number) % 4 else address
