"""Customers: people who act on their mail over real HTTP: they answer, recommend, refer, leave and come back."""

import asyncio
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx2

from deploy.servers.ports import HOST
from tests.chaos.journal import Tail
from tests.chaos.stream import Stream

_CODE = re.compile(r'class="code">([0-9A-Z]+)<')
_AT_ONCE = 8
_PATIENCE = 10.0
_OFTEN = 0.3
Ports = Callable[[str], Sequence[int]]
"""Where a service answers."""


class Customers:
    """Reads the sink's mails and acts on each, as the seed draws."""

    def __init__(self, mails: Tail, stream: Stream, ports: Ports, admin: str, chance: Random) -> None:
        self.did: dict[str, int] = {}
        self.stopped = False
        self._mails = mails
        self._stream = stream
        self._ports = ports
        self._chance = chance
        self._referred = 0
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._http = httpx2.AsyncClient(timeout=_PATIENCE, headers={"Authorization": f"Bearer {admin}"})

    async def run(self) -> None:
        """Until stopped, and until everybody has finished what they began."""
        async with asyncio.TaskGroup() as people:
            while not self.stopped:
                for mail in self._mails.news():
                    people.create_task(self._one(mail))
                await asyncio.sleep(_OFTEN)
        await self._http.aclose()

    async def _one(self, mail: dict[str, Any]) -> None:
        async with self._turn:
            for link in mail["links"]:
                await self._follow(link)
            if mail["way_out"] and self._chance.random() < 0.12:
                await self._leave(mail)

    async def _answer(self, link: str) -> None:
        score = self._chance.choice((9, 10, 10, 9, 7, 3))
        if await self._post("advocacy", link, {"score": str(score)}):
            self._count("answered")

    async def _follow(self, link: str) -> None:
        if "/advocacy/s/" in link:
            await self._answer(link)
        elif "/advocacy/r/" in link:
            if _CODE.search(await self._post("advocacy", link, {"choice": "accept"}) or ""):
                self._count("opted in")
        else:
            await self._refer(link)

    async def _refer(self, link: str) -> None:
        """The link is passed on, and most advocates want to see their own page, which comes by mail."""
        if self._chance.random() < 0.8:
            await self._post("advocacy", f"{link}/page", {})
        for _ in range(self._chance.randrange(1, 5)):
            await self._sign_up(link.rpartition("/")[2])

    async def _sign_up(self, code: str) -> None:
        """A new company comes with the code, uses the product, and most of the time pays, twice perhaps."""
        self._referred += 1
        account, stream = f"ref-{self._referred:05}", self._stream
        signup = stream.fact(account, "referred_signup", referral_code=code, email=f"{account}-2@{account}.example")
        await stream.put([stream.person(account, "owner"), signup, stream.use(account)])
        for _ in range(self._chance.choice((0, 1, 1, 1, 2))):
            await stream.put([stream.fact(account, "invoice_paid", amount=100)])
        self._count("referred")

    async def _leave(self, mail: dict[str, Any]) -> None:
        """One click; some think better of it."""
        if await self._post("notify", mail["way_out"], {"List-Unsubscribe": "One-Click"}) is None:
            return
        self._count("unsubscribed")
        if self._chance.random() < 0.3:
            await self._come_back(mail["delivery"])

    async def _come_back(self, delivery: str) -> None:
        """The company records it for them."""
        row = await self._got("notify", f"/notify/v1/outbox/{delivery}")
        if row is not None:
            wanted = {"account": row["account"], "user": row["user"], "granted": True}
            if await self._tried("notify", lambda at: self._http.put(f"{at}/notify/v1/consents", json=wanted)):
                self._count("came back")

    async def _got(self, service: str, path: str) -> Any:
        answer = await self._tried(service, lambda at: self._http.get(f"{at}{path}"))
        return answer.json() if answer is not None else None

    async def _post(self, service: str, link: str, form: dict[str, str]) -> str | None:
        path = urlsplit(link).path
        answer = await self._tried(service, lambda at: self._http.post(f"{at}{path}", data=form))
        return None if answer is None else answer.text

    async def _tried(self, service: str, act: Callable[[str], Any]) -> Any:
        """Until somebody answers; None when the answer is no, or the run ends."""
        while not self.stopped:
            port = self._chance.choice(self._ports(service))
            try:
                answer = await act(f"http://{HOST}:{port}")
            except httpx2.HTTPError:
                answer = None
            if answer is not None and answer.status_code < 500 and answer.status_code != 429:
                return answer if answer.is_success else None
            await asyncio.sleep(self._chance.uniform(0.2, 1))
        return None

    def _count(self, what: str) -> None:
        self.did[what] = self.did.get(what, 0) + 1
