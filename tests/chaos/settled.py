"""Has everything arrived everywhere? Asked of the log and the stores, not of the product."""

import time

from shared.bus.protocol import Partition
from tests.chaos.books import Books, moment
from tests.chaos.world import World

GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ingest": ("ingest", ("usage.raw.v1",)),
    "lifecycle": ("lifecycle", ("usage.v1",)),
    "lifecycle-feedback": ("lifecycle", ("outreach.v1", "advocacy.v1")),
    "notify": ("notify", ("lifecycle.v1", "advocacy.v1")),
    "advocacy": ("advocacy", ("lifecycle.v1", "outreach.v1")),
}
"""Every group: the service that keeps its cursors, and what it reads."""


async def waiting(world: World) -> dict[str, int]:
    """Everything that waits, by what it waits for; empty when all is quiet."""
    found = await _unread(world)
    now = int(time.time() * 1e6)
    for service in ("ingest", "lifecycle", "notify", "advocacy"):
        if world.name == "scaled":
            rows = await world.books.rows(service, "SELECT sum(next_offset - relayed_offset) AS n FROM log_end")
            found[f"{service} outbox"] = int(rows[0]["n"] or 0)
        if service != "ingest":
            found[f"{service} due"] = await _count(world.books, service, _due(world.books, service, now))
    found["sends"] = await _count(world.books, "notify", _sends(world.books, now))
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
    rows = await world.books.rows(
        service, f"SELECT topic, partition, next_offset FROM consumer_cursor WHERE consumer_group = '{group}'"
    )
    return {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


def _due(books: Books, service: str, now: int) -> str:
    replaying = "held" if service == "advocacy" else "replaying"
    return f"{service}_account WHERE {moment(books, 'next_due')} <= {now} AND NOT {replaying}"


def _sends(books: Books, now: int) -> str:
    pending = f"status = 'pending' AND {moment(books, 'not_before')} <= {now + 60_000_000}"
    return f"notify_delivery WHERE status = 'sending' OR ({pending})"


async def _count(books: Books, service: str, what: str) -> int:
    rows = await books.rows(service, f"SELECT count(*) AS n FROM {what}")
    return int(rows[0]["n"])


def told(found: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items())) or "nothing waits"
