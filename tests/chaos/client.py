"""Client: posts like a product's SDK, in batches, and repeats a batch with the same ids until it is answered 200."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

import httpx2

from deploy.servers.ports import HOST
from shared.clock import SystemClock
from shared.contracts.usage import SourceKind
from tests.chaos.journal import Journal

Event = dict[str, Any]
_TIMES = ("messageId", "timestamp", "sentAt", "history")


class Key(NamedTuple):
    """A key, and who posts with such a one."""

    kind: SourceKind
    secret: str


class Posts(NamedTuple):
    """Journals: the ids that were posted, the kind of key, the times that were said and when, and the ids that were answered with 200."""

    posted: Journal
    said: Journal
    accepted: Journal


_FIRST, _LONGEST = 0.1, 2.0
_PATIENCE = 10.0


class Client:
    """Posts to whichever of the ports answers. Journals what was posted, and what it was told is safe."""

    def __init__(self, ports: Callable[[], Sequence[int]], key: Key, posts: Posts, chance: Random) -> None:
        self.accepted = 0
        self.tried_again = 0
        self.refused: list[str] = []
        self._ports = ports
        self._kind = key.kind
        self._posts = posts
        self._chance = chance
        login = base64.b64encode(f"{key.secret}:".encode()).decode()
        self._http = httpx2.AsyncClient(headers={"Authorization": f"Basic {login}"}, timeout=_PATIENCE)

    async def post(self, batch: Sequence[Event]) -> None:
        """Until it is safe."""
        ids = [event["messageId"] for event in batch]
        self._posts.posted.add(ids)
        times = [{name: event[name] for name in _TIMES if name in event} for event in batch]
        self._posts.said.add([self._kind, times, SystemClock().now().isoformat()])
        pause = _FIRST
        while not await self._once(batch):
            self.tried_again += 1
            await asyncio.sleep(pause * (0.5 + self._chance.random()))
            pause = min(pause * 2, _LONGEST)
        self._posts.accepted.add(ids)
        self.accepted += len(ids)

    async def _once(self, batch: Sequence[Event]) -> bool:
        port = self._chance.choice(self._ports())
        try:
            answer = await self._http.post(f"http://{HOST}:{port}/v1/batch", json={"batch": list(batch)})
        except httpx2.HTTPError:
            return False
        if answer.status_code == 200:
            return True
        if answer.status_code != 429 and answer.status_code < 500:
            self.refused.append(answer.text)
        return False

    async def close(self) -> None:
        await self._http.aclose()
