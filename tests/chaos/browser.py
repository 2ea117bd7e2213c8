"""Browser: posts with the public key, as a page does that somebody uses, and as somebody does who read the key in it."""

import asyncio
from collections.abc import Callable
from random import Random

from tests.chaos.client import Client, Event
from tests.chaos.stream import ROLES, Stream
from tests.chaos.trusted import EVIL

_PAUSE = 1.5


class Browser:
    """Every now and then a use, and with it a claim of something that only the company may say."""

    def __init__(self, client: Client, stream: Stream, chance: Random) -> None:
        self.stopped = False
        self._client = client
        self._stream = stream
        self._chance = chance
        self._claims: tuple[Callable[[str, str], Event], ...] = (
            *(self._fact, self._fact, self._person, self._account, self._membership, self._alias, self._history),
        )

    async def run(self) -> None:
        """Until stopped."""
        while not self.stopped:
            if self._stream.draws and (known := self._stream.latest_accounts()):
                account, other = self._chance.choice(known), self._chance.choice(known)
                await self._client.post([self._stream.use(account), self._chance.choice(self._claims)(account, other)])
            await asyncio.sleep(self._chance.expovariate(1 / _PAUSE))

    def _fact(self, account: str, _other: str) -> Event:
        name = self._chance.choice(("invoice_paid", "referred_signup", "subscription_started"))
        return self._stream.fact(account, name, amount=1, mrr=1, referral_code="EVIL", email=f"{account}@{EVIL}")

    def _person(self, account: str, _other: str) -> Event:
        traits = {"email": f"{account}@{EVIL}", "role": "owner"}
        return {**self._stream.person(account, self._chance.choice(ROLES)), "traits": traits}

    def _account(self, account: str, _other: str) -> Event:
        return {**self._stream.use(account), "type": "group", "traits": {"mrr": 1, "name": EVIL}}

    def _membership(self, account: str, other: str) -> Event:
        """Its user belongs to `account`."""
        return {**self._stream.use(account), "context": {"groupId": other}}

    def _alias(self, account: str, other: str) -> Event:
        return {**self._stream.use(account), "type": "alias", "previousId": f"{other}-0"}

    def _history(self, account: str, _other: str) -> Event:
        return {**self._stream.use(account), "history": "an-import-of-mine"}
