"""Collecting the evidence of a run from the databases, the cluster and the sinks."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row, select, text

from services.advocacy import tables as advocacy
from services.ingest import tables as ingest
from services.lifecycle import tables as lifecycle
from services.lifecycle.core.state import Account
from services.lifecycle.layouts import LAYOUTS
from services.notify import tables as notify
from shared.bus.outbox import decode_block
from shared.bus.protocol import Partition as Place
from shared.bus.tables import dead_letter, log_block
from shared.contracts.topics import LIFECYCLE, USAGE, USAGE_RAW
from shared.contracts.usage import HISTORY_ENDED, UsageEvent
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
from tests.chaos.times import ages, claim, receipts, told_lies
from tests.chaos.trusted import claimed, trusted_facts
from tests.simulation.client import Client
from tests.simulation.database_templates import DatabaseTemplates
from tests.simulation.deployment import OFF, SERVICES, SimulatedDeployment
from tests.simulation.host import BROWSER_KEY, playbook
from tests.simulation.replay import replayed
from tests.simulation.workload import Workload

_SKEW = 4.0
"""Seconds by which two machines' clocks may disagree about a window."""
_ANY = msgspec.json.Decoder(dict[str, Any])
_usage = msgspec.json.Decoder(UsageEvent).decode


async def collected(
    deployment: SimulatedDeployment, workload: Workload, client: Client, templates: DatabaseTemplates, folder: Path
) -> Evidence:
    """Everything but what reading once more sends."""
    found = Evidence(posted=set(workload.posted), accepted=set(client.accepted), allowed=set(workload.allowed))
    await _cursors(deployment, found)
    await _archive(deployment, found)
    await _decided(deployment, found)
    await _sent(deployment, found)
    await _owed(deployment, found)
    found.replayed, found.midnights = await replayed(deployment, templates, folder)
    await _trusted(deployment, client, found)
    return found


async def rows(deployment: SimulatedDeployment, service: str, statement: Any) -> list[Row[Any]]:
    async with deployment.server(service).file.snapshot() as read:
        return list(await read.all(statement))


async def _cursors(deployment: SimulatedDeployment, found: Evidence) -> None:
    for service in SERVICES[:1] if deployment.embedded else SERVICES:
        for row in await rows(
            deployment,
            service,
            text("SELECT consumer_group, topic, partition, was, now, epoch FROM seen_move ORDER BY n"),
        ):
            found.moves.append(
                Move(Partition(row.consumer_group, row.topic, row.partition), row.was, row.now, row.epoch)
            )
        for row in await rows(deployment, service, select(dead_letter).where(dead_letter.c.redriven_at.is_(None))):
            found.parked.add(_name(row.value))
            deployment.trace.say("parked", row.consumer_group, f"{_name(row.value)} {row.reason} {row.detail}")
    for place, end in (await ends(deployment)).items():
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


async def ends(deployment: SimulatedDeployment) -> dict[Place, int]:
    """Where each partition that has anything ends."""
    if not deployment.embedded:
        return {place: len(log) for place, log in deployment.cluster.log.items() if log}
    return {
        Place(row.topic, row.partition): row.next_offset
        for row in await rows(deployment, "ingest", text("SELECT * FROM log_end"))
    }


async def _archive(deployment: SimulatedDeployment, found: Evidence) -> None:
    blocks = select(log_block).order_by(log_block.c.topic, log_block.c.partition, log_block.c.base_offset)
    every = await rows(deployment, "ingest", blocks.where(log_block.c.topic == USAGE.name))
    events = [_ANY.decode(record.value) for row in every for record in decode_block(row.block)]
    found.archive = [Event(said["id"], said["account"]) for said in events]
    uncounted = Counter(said["account"] for said in events if said["type"] != "track" or said["name"] == HISTORY_ENDED)
    states = await _states(deployment)
    found.counted = {name: _counted(account) + uncounted[name] for name, account in states.items()}
    for topic, part, offset, seq, value in await records_of(deployment):
        said = _ANY.decode(value)
        told = PublishedMessage(said["account"], said["seq"], said["id"]) if topic == LIFECYCLE.name else None
        found.records.append(TopicRecord(topic, part, offset, seq, said["id"], told))


class TopicValue(NamedTuple):
    """One record of a topic as it lies there, whole."""

    topic: str
    partition: int
    offset: int
    sequence: int
    value: bytes


async def records_of(deployment: SimulatedDeployment) -> list[TopicValue]:
    """Every record of every topic but the raw one."""
    if deployment.embedded:
        blocks = select(log_block).order_by(log_block.c.topic, log_block.c.partition, log_block.c.base_offset)
        every = await rows(deployment, "ingest", blocks.where(log_block.c.topic != USAGE_RAW.name))
        return [
            TopicValue(row.topic, row.partition, at, at, record.value)
            for row in every
            for at, record in enumerate(decode_block(row.block), row.base_offset)
        ]
    kept = ((place, log) for place, log in sorted(deployment.cluster.log.items()) if place.topic != USAGE_RAW.name)
    return [TopicValue(*place, one.offset, one.sequence, one.value) for place, log in kept for one in log]


def _counted(account: Account) -> int:
    """Events leave a count; what identify leaves is the person."""
    series = next((one for name, one in account.series.items() if name.startswith("amount:counted:")), None)
    return int(sum(series.days)) if series else 0


async def _states(deployment: SimulatedDeployment) -> dict[str, Account]:
    every = await rows(deployment, "lifecycle", select(lifecycle.account.c.id, lifecycle.account.c.state))
    return {row.id: LAYOUTS.decode(row.state) for row in every}


async def _decided(deployment: SimulatedDeployment, found: Evidence) -> None:
    decision = lifecycle.decision
    for row in await rows(deployment, "lifecycle", select(decision).order_by(decision.c.account_id, decision.c.seq)):
        found.messages.append(PublishedMessage(row.account_id, row.seq, _ANY.decode(row.body)["id"]))
    found.last_seq = {name: account.seq for name, account in (await _states(deployment)).items() if account.seq}


async def _sent(deployment: SimulatedDeployment, found: Evidence) -> None:
    known = {row.id: row for row in await rows(deployment, "notify", select(notify.delivery))}
    addresses = {(row.account, row.user): row.address.lower() for _, row in sorted(known.items()) if row.address}
    for line in deployment.sinks.journal:
        row = known[line.delivery]
        said = _ANY.decode(row.decision)
        about = (row.play, row.account, said["occurrence"], row.step, row.user or "", row.channel)
        found.sends.append(
            Send(
                line.channel,
                row.id,
                " ".join(about),
                row.account,
                row.user,
                row.outreach_class,
                row.topic,
                line.at,
                addresses.get((row.account, row.user), ""),
            )
        )
    for cap in playbook().budget.caps:
        within = cap.within.total_seconds() - _SKEW
        found.caps.append(Cap(cap.name, cap.max, within, cap.account, frozenset(cap.classes), frozenset(cap.topics)))
    for row in await rows(deployment, "notify", text("SELECT * FROM seen_consent ORDER BY n")):
        address = addresses.get((row.account, row.user), "")
        found.consents.append(Consent(row.account, row.user, row.what, row.topic, row[5], row.delivery, address))


async def _trusted(deployment: SimulatedDeployment, client: Client, found: Evidence) -> None:
    blocks = select(log_block).where(log_block.c.topic == USAGE.name)
    every = await rows(deployment, "ingest", blocks.order_by(log_block.c.partition, log_block.c.base_offset))
    archive = [_usage(record.value) for row in every for record in decode_block(row.block)]
    decision = lifecycle.decision
    told = select(decision.c.body).order_by(decision.c.account_id, decision.c.seq)
    decisions = [_ANY.decode(row.body) for row in await rows(deployment, "lifecycle", told)]
    members = {row.user_id: row.account_id for row in await rows(deployment, "ingest", select(ingest.membership))}
    found.claimed = claimed(archive)
    states = await _states(deployment)
    found.trusted = trusted_facts(archive, states, decisions, members)
    claims = {
        name: claim(event, "browser" if key == BROWSER_KEY else "server") for name, (key, event) in client.told.items()
    }
    found.lies, found.ages = told_lies(archive, claims), ages(archive, states, claims)
    found.receipts = receipts(archive, client.first_posted)
    found.ended = deployment.clock.now() + timedelta(seconds=OFF)


async def _owed(deployment: SimulatedDeployment, found: Evidence) -> None:
    for row in await rows(deployment, "advocacy", select(advocacy.ledger_entry)):
        found.entries.append(Entry(row.transaction_id, row.reward_id, row.ledger_account, row.amount, row.currency))
    for row in await rows(deployment, "advocacy", select(advocacy.reward)):
        found.rewards.append(Reward(row.id, row.referral_id, row.side))


def _name(value: bytes) -> str:
    try:
        said = _ANY.decode(value)
    except msgspec.DecodeError:
        return "unreadable"
    return str(said.get("messageId") or said.get("id"))
