"""What is left of a run? The evidence, read from the databases, the cluster and the sinks when all is quiet."""

from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import Row, select, text

from services.advocacy import tables as advocacy
from services.lifecycle import tables as lifecycle
from services.lifecycle.core.state import Account
from services.lifecycle.layouts import LAYOUTS
from services.notify import tables as notify
from shared.bus.blocks import decode_block
from shared.bus.protocol import Partition as Place
from shared.bus.tables import dead_letter, log_block
from shared.contracts.topics import LIFECYCLE, USAGE, USAGE_RAW
from tests.chaos.evidence import (
    Cap,
    Consent,
    Entry,
    Event,
    Evidence,
    Move,
    Partition,
    PublishedMessage,
    Reward,
    Send,
    Span,
    TopicRecord,
)
from tests.simulation.client import Client
from tests.simulation.host import playbook
from tests.simulation.replay import replayed
from tests.simulation.town import SERVICES, Town
from tests.simulation.world import World

_SKEW = 4.0
"""Seconds by which two machines' clocks may disagree about a window."""
_ANY = msgspec.json.Decoder(dict[str, Any])


async def gathered(town: Town, world: World, client: Client) -> Evidence:
    """Everything but what reading once more sends."""
    found = Evidence(posted=set(world.posted), accepted=set(client.accepted), allowed=set(world.allowed))
    await _cursors(town, found)
    await _archive(town, found)
    await _decided(town, found)
    await _sent(town, found)
    await _owed(town, found)
    found.replayed = replayed(await _states(town), town.server("lifecycle").journal)
    return found


async def rows(town: Town, service: str, statement: Any) -> list[Row[Any]]:
    async with town.server(service).file.snapshot() as read:
        return list(await read.all(statement))


async def _cursors(town: Town, found: Evidence) -> None:
    for service in SERVICES[:1] if town.embedded else SERVICES:
        for row in await rows(
            town, service, text("SELECT consumer_group, topic, partition, was, now, epoch FROM seen_move ORDER BY n")
        ):
            found.moves.append(
                Move(Partition(row.consumer_group, row.topic, row.partition), row.was, row.now, row.epoch)
            )
        for row in await rows(town, service, select(dead_letter).where(dead_letter.c.redriven_at.is_(None))):
            found.parked.add(_name(row.value))
            town.trace.say("parked", row.consumer_group, f"{_name(row.value)} {row.reason} {row.detail}")
    for place, end in (await ends(town)).items():
        for group in GROUPS[place.topic]:
            found.spans[Partition(group, *place)] = Span(0, end)


GROUPS: dict[str, tuple[str, ...]] = {
    "usage.raw.v1": ("ingest",),
    "usage.v1": ("lifecycle",),
    "lifecycle.v1": ("notify", "advocacy"),
    "outreach.v1": ("lifecycle-feedback", "advocacy"),
    "advocacy.v1": ("lifecycle-feedback", "notify"),
}
"""Who reads what."""


async def ends(town: Town) -> dict[Place, int]:
    """Where each partition that has anything ends."""
    if not town.embedded:
        return {place: len(log) for place, log in town.cluster.log.items() if log}
    return {
        Place(row.topic, row.partition): row.next_offset
        for row in await rows(town, "ingest", text("SELECT * FROM log_end"))
    }


async def _archive(town: Town, found: Evidence) -> None:
    blocks = select(log_block).order_by(log_block.c.topic, log_block.c.partition, log_block.c.base_offset)
    every = await rows(town, "ingest", blocks.where(log_block.c.topic == USAGE.name))
    events = [_ANY.decode(record.value) for row in every for record in decode_block(row.block)]
    found.archive = [Event(said["id"], said["account"]) for said in events]
    uncounted = Counter(said["account"] for said in events if said["type"] != "track")
    states = await _states(town)
    found.counted = {name: _counted(account) + uncounted[name] for name, account in states.items()}
    for topic, part, offset, seq, value in await _records(town, blocks):
        said = _ANY.decode(value)
        told = PublishedMessage(said["account"], said["seq"], said["id"]) if topic == LIFECYCLE.name else None
        found.records.append(TopicRecord(topic, part, offset, seq, said["id"], told))


async def _records(town: Town, blocks: Any) -> list[tuple[str, int, int, int, bytes]]:
    if town.embedded:
        every = await rows(town, "ingest", blocks.where(log_block.c.topic != USAGE_RAW.name))
        return [
            (row.topic, row.partition, at, at, record.value)
            for row in every
            for at, record in enumerate(decode_block(row.block), row.base_offset)
        ]
    kept = ((place, log) for place, log in sorted(town.cluster.log.items()) if place.topic != USAGE_RAW.name)
    return [(*place, one.offset, one.sequence, one.value) for place, log in kept for one in log]


def _counted(account: Account) -> int:
    """Events leave a count; what identify leaves is the person."""
    series = next((one for name, one in account.series.items() if name.startswith("amount:counted:")), None)
    return int(sum(series.days)) if series else 0


async def _states(town: Town) -> dict[str, Account]:
    every = await rows(town, "lifecycle", select(lifecycle.account.c.id, lifecycle.account.c.state))
    return {row.id: LAYOUTS.decode(row.state) for row in every}


async def _decided(town: Town, found: Evidence) -> None:
    decision = lifecycle.decision
    for row in await rows(town, "lifecycle", select(decision).order_by(decision.c.account_id, decision.c.seq)):
        found.messages.append(PublishedMessage(row.account_id, row.seq, _ANY.decode(row.body)["id"]))
    found.last_seq = {name: account.seq for name, account in (await _states(town)).items() if account.seq}


async def _sent(town: Town, found: Evidence) -> None:
    known = {row.id: row for row in await rows(town, "notify", select(notify.delivery))}
    for line in town.sinks.journal:
        row = known[line.delivery]
        said = _ANY.decode(row.decision)
        about = (row.play, row.account, said["occurrence"], row.step, row.user or "", row.channel)
        found.sends.append(
            Send(line.channel, row.id, " ".join(about), row.account, row.user, row.outreach_class, row.topic, line.at)
        )
    for cap in playbook().budget.caps:
        within = cap.within.total_seconds() - _SKEW
        found.caps.append(Cap(cap.name, cap.max, within, cap.account, frozenset(cap.classes), frozenset(cap.topics)))
    for row in await rows(town, "notify", text("SELECT * FROM seen_consent ORDER BY n")):
        found.consents.append(Consent(row.account, row.user, row.what, row.topic, row[5], row.delivery))


async def _owed(town: Town, found: Evidence) -> None:
    for row in await rows(town, "advocacy", select(advocacy.ledger_entry)):
        found.entries.append(Entry(row.transaction_id, row.reward_id, row.ledger_account, row.amount, row.currency))
    for row in await rows(town, "advocacy", select(advocacy.reward)):
        found.rewards.append(Reward(row.id, row.referral_id, row.side))


def _name(value: bytes) -> str:
    try:
        said = _ANY.decode(value)
    except msgspec.DecodeError:
        return "unreadable"
    return str(said.get("messageId") or said.get("id"))
