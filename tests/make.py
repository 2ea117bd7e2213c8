"""Builders for tests: accounts' messages and usage events, a clock that a test moves, a migrated storage, waiting.

The one dialect for events: usage events as the services publish them (`usage_event`), bodies as SDKs post them (`track`,
`group`), and an account's lifecycle messages, numbered in order (`LifecycleMessages`).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from shared.contracts.evidence import Evidence
from shared.contracts.lifecycle import (
    ClockAdvanced,
    ContactChanged,
    FactObserved,
    FlagChanged,
    HealthChanged,
    MilestoneReached,
    SignalRaised,
    Snapshot,
    StageChanged,
)
from shared.contracts.usage import EventType, UsageEvent
from shared.settings import Settings
from shared.storage import Storage, open_storage
from waymark import migrations

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVIDENCE = Evidence("rule", "version", "because")
M = TypeVar("M")
_PAUSE, _LONGEST_PAUSE = 0.02, 0.1
PLAIN = False
"""`verify` of a client that speaks plain HTTP to this machine: to read the certificates of the world takes 20 ms of each."""
_PATIENCE = float(os.environ.get("PATIENCE", "1"))
"""The share of each deadline that is waited: where guards are taken out, most tests wait for what does not come."""


class FakeClock:
    """A clock that a test moves."""

    def __init__(self, now: datetime = NOON) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def move(self, step: timedelta) -> None:
        self.time += step


async def eventually(done: Callable[[], Awaitable[bool]], seconds: float = 90.0) -> None:
    """Wait until it is so. Fails when it does not become so: never a fixed sleep.

    What takes long is asked for less and less often: to ask costs a processor that those whom we wait for need.
    """
    pause = _PAUSE
    async with asyncio.timeout(seconds * _PATIENCE):
        while not await done():  # what we wait for is in a database
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, _LONGEST_PAUSE)


@asynccontextmanager
async def migrated_storage(settings: Settings, service: str = "ingest", owner: str = "test") -> AsyncIterator[Storage]:
    """One service's migrated store."""
    await asyncio.to_thread(migrations.migrate, settings, [service])
    async with open_storage(settings, [service], FakeClock(), owner) as stores:
        yield stores[service]


def usage_event(
    event_id: str,
    account: str = "acme",
    *,
    name: str = "x",
    at: datetime = NOON,
    type: EventType = "track",  # noqa: A002  the contract's name
    user: str | None = None,
    properties: dict[str, Any] | None = None,
    **fields: Any,
) -> UsageEvent:
    """An event of `usage.v1`, received when it happened."""
    raw = msgspec.Raw(msgspec.json.encode(properties or {}))
    return UsageEvent(
        **{"received_at": at, "source": "test"} | fields,
        id=event_id,
        account=account,
        type=type,
        name=name,
        at=at,
        user=user,
        properties=raw,
    )


def track(
    event: str, user: str = "ann", account: str = "", at: datetime | None = None, **fields: Any
) -> dict[str, Any]:
    """A track call as an SDK posts it; its message id is the event's name unless `messageId` is given."""
    return _call("track", user, account, at, {"event": event, "messageId": event} | fields)


def group(account: str, user: str = "ann", at: datetime | None = None, **fields: Any) -> dict[str, Any]:
    """A group call as an SDK posts it: this user belongs to this account."""
    return _call("group", user, "", at, {"groupId": account, "messageId": f"group-{account}-{user}"} | fields)


def _call(kind: str, user: str, account: str, at: datetime | None, fields: dict[str, Any]) -> dict[str, Any]:
    optional = {"timestamp": at.isoformat() if at else None, "context": {"groupId": account} if account else None}
    given = {name: value for name, value in optional.items() if value is not None}
    return {"type": kind, "userId": user, **given, **fields}


class LifecycleMessages:
    """One account's messages of `lifecycle.v1`, numbered in order; `history` marks all of them as imported."""

    def __init__(self, account: str = "acme", *, history: bool = False, id_prefix: str | None = None) -> None:
        self.account = account
        self.history = history
        self.seq = 0
        self._id_prefix = f"{account}-" if id_prefix is None else id_prefix

    def contact(self, at: datetime, user: str = "ann", **fields: Any) -> ContactChanged:
        return self._message(ContactChanged, at, {"user": user} | fields)

    def stage(self, at: datetime, stage: str, previous: str | None = None, **fields: Any) -> StageChanged:
        return self._decision(
            StageChanged, at, {"snapshot": Snapshot(stage, at), **fields, "stage": stage, "previous": previous}
        )

    def signal(self, at: datetime, signal: str, **fields: Any) -> SignalRaised:
        return self._decision(SignalRaised, at, {"signal": signal} | fields)

    def flag(self, at: datetime, flag: str, *, raised: bool = True, **fields: Any) -> FlagChanged:
        return self._decision(FlagChanged, at, {"flag": flag, "raised": raised} | fields)

    def health(self, at: datetime, band: str, score: float | None, **fields: Any) -> HealthChanged:
        health = {"previous": "unknown", "band": band, "score": score, "coverage": 1.0}
        return self._decision(HealthChanged, at, health | fields)

    def milestone(self, at: datetime, milestone: str, **fields: Any) -> MilestoneReached:
        return self._decision(MilestoneReached, at, {"milestone": milestone, "reached_at": at} | fields)

    def fact(self, at: datetime, fact: str, **fields: Any) -> FactObserved:
        return self._message(FactObserved, at, {"fact": fact, "event": f"event-{self.account}-{fact}"} | fields)

    def clock(self, at: datetime, *, live: bool = True, **fields: Any) -> ClockAdvanced:
        return self._message(ClockAdvanced, at, {"live": live} | fields)

    def _decision(self, kind: type[M], at: datetime, fields: dict[str, Any]) -> M:
        return self._message(kind, at, {"evidence": EVIDENCE, "snapshot": Snapshot("adoption", at)} | fields)

    def _message(self, kind: type[M], at: datetime, fields: dict[str, Any]) -> M:
        self.seq += 1
        envelope = {"id": f"{self._id_prefix}{self.seq}", "account": self.account, "seq": self.seq}
        return kind(**envelope | {"at": at, "decided_at": at, "history": self.history} | fields)
