"""Rows `ours-*`: the real process `waymark run lifecycle` on a prefilled topic and a fresh database."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from bench.cpu import spent
from bench.end_state import End, Kept, demand, verify
from bench.errors import InvalidResult
from bench.plan import warm
from bench.processes import just, waymark
from bench.progress import Mark, between, watch
from bench.rounds import Figures
from bench.servers import ROOT, Servers, dsn
from bench.session import Session
from bench.stream import FEATURES, told
from bench.topics import Filled, ends, values
from deploy.servers.ports import free_port
from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.explain import snapshot_of
from services.lifecycle.layouts import LAYOUTS
from services.lifecycle.wiring import load_definition
from shared.contracts.lifecycle import LifecycleMessage, StageChanged
from shared.contracts.topics import LIFECYCLE
from shared.keys import credentials
from shared.settings import Settings
from waymark import migrations

MINIMAL = ROOT / "bench/definitions/minimal"
SHIPPED = ROOT / "config"
_PATIENCE = 120.0
_SLOWEST = 1_500
"""Events a second below which we give up."""
_RELAY = 120.0
Check = Callable[[Settings, list[bytes], End], Awaitable[None]]


async def minimal(session: Session, _: int) -> Figures:
    """The definition that equals the peers' fold."""
    return await _round(session, MINIMAL, _same_fold)


async def shipped(session: Session, _: int) -> Figures:
    """The definition as it is shipped."""
    return await _round(session, SHIPPED, _same_use)


async def _round(session: Session, config: Path, check: Check) -> Figures:
    servers, topic = await session.servers(), await session.filled(session.stream())
    end, folder = await session.expected(topic.stream), session.new(config.name)
    settings = servers.settings(folder, await servers.database(folder.name), topic.prefix, config)
    before = await ends(servers, topic.prefix + LIFECYCLE.name)
    await migrated(settings, ["lifecycle"])
    await servers.checkpointed()
    first, last = await drained(settings, servers, topic.stream.events)
    await check(settings, await _published(settings, servers, topic, before), end)
    await servers.dropped(settings.database)
    return between(first, last)


async def migrated(settings: Settings, services: list[str]) -> None:
    """Keys and tables."""
    credentials(settings.data)
    await asyncio.to_thread(migrations.migrate, settings, services)


async def drained(settings: Settings, servers: Servers, events: int) -> tuple[Mark, Mark]:
    """Start the service, let it handle that many events, stop it: the moments when a tenth was handled, and nine tenths.

    A transaction of ours holds up to 10,000 events of each partition. What is in hand when the clock starts, partly done,
    must also be in hand when it stops: stopped at the end, when nothing is, a fifth of the work would be counted as free.
    """
    port = free_port()
    async with waymark(settings, port, ["run", "lifecycle"]) as child:
        processes = {"client": just(child), **servers.processes}
        async with watch(port, partial(spent, processes)) as look:
            first = await look.until(warm(events), _PATIENCE)
            near = await look.until(events - warm(events), _PATIENCE + events / _SLOWEST)
            last = await look.until(events, _PATIENCE + events / _SLOWEST)
            await _carried(settings)
    return first, near if near.handled > first.handled else last


async def _carried(settings: Settings) -> None:
    """Wait until the relay has brought everything decided to Kafka."""
    waiting = "SELECT count(*) FROM lifecycle.log_end WHERE relayed_offset < next_offset"
    loop, connection = asyncio.get_running_loop(), await asyncpg.connect(dsn(settings.database))
    deadline = loop.time() + _RELAY
    try:
        while await connection.fetchval(waiting):
            if loop.time() > deadline:
                raise InvalidResult(f"the relay did not carry everything to Kafka within {_RELAY:.0f} s")
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def _published(settings: Settings, servers: Servers, topic: Filled, before: dict[int, int]) -> list[bytes]:
    """What a reader of `lifecycle.v1` has got since; as much of it as the database says was decided."""
    found = await values(servers, topic.prefix + LIFECYCLE.name, before)
    decided = (await rows(settings, "SELECT count(*) FROM lifecycle.lifecycle_decision"))[0][0]
    demand({"published": len(found)}, {"published": decided})
    return found


async def rows(settings: Settings, sql: str, *values_of: object) -> list[Any]:
    """What the database answers."""
    connection = await asyncpg.connect(dsn(settings.database))
    try:
        return list(await connection.fetch(sql, *values_of))
    finally:
        await connection.close()


async def _same_fold(settings: Settings, published: list[bytes], end: End) -> None:
    """Each account's counts, last time and one transition are what every peer must have."""
    found, compiled = (
        await rows(settings, "SELECT id, state FROM lifecycle.lifecycle_account"),
        load_definition(settings),
    )
    accounts = {row["id"]: kept(row["state"], compiled) for row in found}
    told_of = Counter(one.account for one in _stages(published) if one.stage == "active")
    verify(End(accounts, dict(told_of)), end)


async def _same_use(settings: Settings, published: list[bytes], end: End) -> None:
    """Each account's uses, features and last time, and that it was told once to have begun."""
    found, compiled = (
        await rows(settings, "SELECT id, state FROM lifecycle.lifecycle_account"),
        load_definition(settings),
    )
    accounts = {row["id"]: _use(row["state"], compiled) for row in found}
    wanted = {name: (kept.count, len(kept.features), kept.last) for name, kept in end.accounts.items()}
    if accounts != wanted:
        wrong = sum(accounts.get(name) != of for name, of in wanted.items())
        raise InvalidResult(f"{wrong} of {len(wanted)} accounts differ from what was posted")
    demand(Counter(one.account for one in _stages(published)), dict.fromkeys(wanted, 1))


def _stages(published: list[bytes]) -> list[StageChanged]:
    decode = msgspec.json.Decoder(LifecycleMessage).decode
    return [one for one in map(decode, published) if isinstance(one, StageChanged)]


def kept(state: bytes, compiled: CompiledDefinition) -> Kept:
    """An account under the minimal definition, as a peer would keep it."""
    account = LAYOUTS.decode(state)
    metrics = snapshot_of(account, compiled).metrics
    counts = {feature: int(metrics[feature] or 0) for feature in FEATURES}
    return Kept(
        int(metrics["uses"] or 0), told(account.clock), {name: count for name, count in counts.items() if count}
    )


def _use(state: bytes, compiled: CompiledDefinition) -> tuple[int, int, str]:
    account = LAYOUTS.decode(state)
    metrics = snapshot_of(account, compiled).metrics
    return int(metrics["core_events_28d"] or 0), int(metrics["features_28d"] or 0), told(account.clock)
