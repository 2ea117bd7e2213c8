"""Backlog: everything that waits in the log and the stores, asked past the product."""

import time

from shared.bus.protocol import Partition
from tests.chaos.stores import Stores, moment
from tests.chaos.world import World

GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ingest": ("ingest", ("usage.raw.v1",)),
    "lifecycle": ("lifecycle", ("usage.v1",)),
    "lifecycle-feedback": ("lifecycle", ("outreach.v1", "advocacy.v1")),
    "notify": ("notify", ("lifecycle.v1", "advocacy.v1")),
    "advocacy": ("advocacy", ("lifecycle.v1", "outreach.v1")),
}
"""Every group: the service that keeps its cursors, and what it reads."""


async def backlog(world: World) -> dict[str, int]:
    """Everything that waits, by what it waits for; empty when all is quiet."""
    found = await _unread(world)
    now = int(time.time() * 1e6)
    for service in ("ingest", "lifecycle", "notify", "advocacy"):
        if world.name == "scaled":
            rows = await world.stores.rows(service, "SELECT sum(next_offset - relayed_offset) AS n FROM log_end")
            found[f"{service} outbox"] = int(rows[0]["n"] or 0)
        if service != "ingest":
            found[f"{service} due"] = await _count(world.stores, service, _due(world.stores, service, now))
    found["sends"] = await _count(world.stores, "notify", _sends(world.stores, now))
    return {name: count for name, count in found.items() if count}


async def _unread(world: World) -> dict[str, int]:
    """The cursors first: what arrives meanwhile counts as unread, never as less than nothing."""
    at = {group: await _cursors(world, group, service) for group, (service, _) in GROUPS.items()}
    bounds, found = await world.bounds(), dict[str, int]()
    for group, (_, topics) in GROUPS.items():
        mine = {tp: span for tp, span in bounds.items() if tp.topic in topics}
        found[f"{group} lag"] = sum(span.end - at[group].get(tp, span.begin) for tp, span in mine.items())
    return found


async def _cursors(world: World, group: str, service: str) -> dict[Partition, int]:
    rows = await world.stores.rows(
        service, f"SELECT topic, partition, next_offset FROM consumer_cursor WHERE consumer_group = '{group}'"
    )
    return {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


def _due(stores: Stores, service: str, now: int) -> str:
    return f"{service}_account WHERE {moment(stores, 'next_due')} <= {now} AND NOT replaying"


def _sends(stores: Stores, now: int) -> str:
    pending = f"status = 'pending' AND {moment(stores, 'not_before')} <= {now + 60_000_000}"
    return f"notify_delivery WHERE status = 'sending' OR ({pending})"


async def _count(stores: Stores, service: str, what: str) -> int:
    rows = await stores.rows(service, f"SELECT count(*) AS n FROM {what}")
    return int(rows[0]["n"])


def describe(found: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items())) or "nothing waits"
