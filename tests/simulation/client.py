"""Client: posts through ingest's own capture API, and repeats a post until it is accepted."""

import asyncio
import json
from datetime import datetime
from typing import Any

from starlette.requests import Request

from tests.simulation.chance import Chance
from tests.simulation.host import KEY, Host
from tests.simulation.trace import Trace

_PATIENCE = 20.0


class Client:
    """`accepted` are the ids of events that were answered with 200, since when `accepted_at`; `open` the batches that were not; `told` the key and event of each id, `first_posted` when it was posted first."""

    def __init__(self, chance: Chance, trace: Trace) -> None:
        self.accepted: set[str] = set()
        self.accepted_at: dict[str, float] = {}
        self.open: dict[int, list[dict[str, Any]]] = {}
        self.told: dict[str, tuple[str, dict[str, Any]]] = {}
        self.first_posted: dict[str, datetime] = {}
        self._number = 0
        self._since: dict[int, datetime] = {}
        self._keys: dict[int, str] = {}
        self._chance = chance
        self._trace = trace

    async def post(self, doors: list[Host], events: list[dict[str, Any]], now: datetime, key: str = KEY) -> None:
        """Once, at one of the doors."""
        self._number += 1
        self.open[self._number] = events
        self.told |= {event["messageId"]: (key, event) for event in events}
        for event in events:
            self.first_posted.setdefault(event["messageId"], now)
        self._since[self._number] = now
        self._keys[self._number] = key
        await self._try(doors, self._number)

    async def again(self, doors: list[Host]) -> None:
        """Whatever was not accepted, in any order."""
        for number in list(self.open):
            await self._try(doors, number)

    def waits_since(self) -> datetime | None:
        """Since when the longest waiting batch has not been accepted."""
        return min((self._since[number] for number in self.open), default=None)

    async def _try(self, doors: list[Host], number: int) -> None:
        if doors and number in self.open and await self._posted(self._chance.one(doors), number):
            for event in self.open.pop(number, []):
                self.accepted.add(event["messageId"])
                self.accepted_at.setdefault(event["messageId"], asyncio.get_running_loop().time())

    async def _posted(self, door: Host, number: int) -> bool:
        events = self.open[number]
        slams = self._chance.hits("door slams", door.process.name)
        capture = door.services["ingest"].root[-1].endpoint  # type: ignore[attr-defined]
        task = door.process.spawn(
            capture(_request(json.dumps({"batch": events}).encode(), self._keys[number])), "request"
        )
        done, _ = await asyncio.wait([task], timeout=self._chance.up_to(0.02) if slams else _PATIENCE)
        answered = bool(done) and not task.cancelled() and task.exception() is None
        taken = answered and task.result().status_code == 200
        self._trace.say("posted", door.process.name, f"{'' if taken else 'in vain '}{' '.join(map(_named, events))}")
        return taken


def _request(body: bytes, key: str) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/batch",
        "path_params": {"path": "batch"},
        "query_string": f"writeKey={key}".encode(),
        "headers": [],
    }
    return Request(scope, receive)


def _named(event: dict[str, Any]) -> str:
    return str(event["messageId"])
