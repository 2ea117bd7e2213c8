"""Collecting the evidence of a run from the log, the stores and the sinks' journals, while the servers are up."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from services.lifecycle.core.state import Account
from services.lifecycle.layouts import LAYOUTS
from services.notify.core.delivery import Decision, decode_decision
from services.notify.wiring import definition
from shared.clock import SystemClock
from shared.contracts.usage import UsageEvent
from shared.settings import Settings
from tests.chaos.backlog import GROUPS
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
from tests.chaos.journal import lines
from tests.chaos.profile import COMPANY
from tests.chaos.replay import archive, replayed
from tests.chaos.run import ACCEPTED, ALLOWED, POSTED, SAID
from tests.chaos.sinks import HOOKS, MAILS
from tests.chaos.times import Claim, ages, claim, receipts, told_lies
from tests.chaos.trusted import BROWSER, claimed, trusted_facts
from tests.chaos.witness import CONFIRMED, CONSENT, CURSOR, observations
from tests.chaos.world import World

_COUNTED = "amount:counted::1"
OWN_LOGS = {"usage.v1": "ingest", "lifecycle.v1": "lifecycle", "outreach.v1": "notify", "advocacy.v1": "advocacy"}
"""Topics whose records carry their place in their producer's own log, and the producer."""


async def collected(world: World, folder: Path) -> Evidence:
    """Everything, but what a second reading of the log would send."""
    again, midnights = await replayed(world)
    found = Evidence(caps=_caps(), replayed=again, midnights=midnights, ended=SystemClock().now())
    await _cursors(world, found)
    _client(folder, found)
    await _events(world, folder, found)
    await _messages(world, found)
    await _topics(world, found)
    await _sends(world, folder, found)
    await _money(world, found)
    return found


async def _cursors(world: World, found: Evidence) -> None:
    services = dict.fromkeys(service for service, _ in GROUPS.values())
    for service in services if world.name == "scaled" else ["ingest"]:
        async for _, _, (group, topic, part, was, now, epoch) in observations(world.stores, service, CURSOR):
            if was != now:
                found.moves.append(Move(Partition(group, topic, part), was, now, epoch))
    bounds = await world.bounds()
    for group, (_, topics) in GROUPS.items():
        for (topic, part), (begin, end) in bounds.items():
            if topic in topics:
                found.spans[Partition(group, topic, part)] = Span(begin, end)


def _client(folder: Path, found: Evidence) -> None:
    for ids, name in ((found.posted, POSTED), (found.accepted, ACCEPTED), (found.allowed, ALLOWED)):
        for line in lines(folder / name):
            ids.update(line)


async def _events(world: World, folder: Path, found: Evidence) -> None:
    events = [event async for _, _, event in archive(world)]
    found.archive = [Event(event.id, event.account) for event in events]
    uncounted = Counter(
        event.account for event in events if event.type == "page" or (event.source == BROWSER and event.type != "track")
    )
    accounts = dict[str, Account]()
    for service in dict.fromkeys(OWN_LOGS.values()) if world.name == "scaled" else ["ingest"]:
        for row in await world.stores.rows(service, "SELECT * FROM dead_letter WHERE redriven_at IS NULL"):
            found.parked.add(_parked(row))
    for row in await world.stores.rows("lifecycle", "SELECT id, seq, state FROM lifecycle_account"):
        account = accounts[row["id"]] = LAYOUTS.decode(row["state"])
        counted = account.series.get(_COUNTED)
        people = len(account.contacts) + uncounted[row["id"]]
        found.counted[row["id"]] = int(sum(counted.days) if counted else 0) + people
        found.last_seq[row["id"]] = row["seq"]
    await _trusted(world, found, events, accounts)
    claims, posted = dict[str, Claim](), dict[str, datetime]()
    for kind, said, at in lines(folder / SAID):
        for event in said:
            claims[event["messageId"]] = claim(event, kind)
            posted.setdefault(event["messageId"], datetime.fromisoformat(at))
    found.receipts = receipts(events, posted)
    found.lies, found.ages = told_lies(events, claims), ages(events, accounts, claims)


async def _trusted(world: World, found: Evidence, events: list[UsageEvent], accounts: dict[str, Account]) -> None:
    told = await world.stores.rows("lifecycle", "SELECT body FROM lifecycle_decision ORDER BY account_id, seq")
    members = await world.stores.rows("ingest", "SELECT user_id, account_id FROM ingest_membership")
    decisions = [json.loads(row["body"]) for row in told]
    found.claimed = claimed(events)
    found.trusted = trusted_facts(events, accounts, decisions, {row["user_id"]: row["account_id"] for row in members})


def _parked(row: Any) -> str:
    if row["consumer_group"] != "ingest":
        return f"{row['consumer_group']} {row['topic']}[{row['partition']}] {row['offset']}: {row['reason']} {row['detail'][:200]}"
    return str(json.loads(row["value"]).get("messageId"))


async def _messages(world: World, found: Evidence) -> None:
    for row in await world.stores.rows("lifecycle", "SELECT account_id, seq, body FROM lifecycle_decision"):
        found.messages.append(PublishedMessage(row["account_id"], row["seq"], json.loads(row["body"])["id"]))


async def _topics(world: World, found: Evidence) -> None:
    for topic in OWN_LOGS:
        async for record in world.records(topic):
            value = json.loads(record.value)
            message = PublishedMessage(value["account"], value["seq"], value["id"]) if topic == "lifecycle.v1" else None
            found.records.append(TopicRecord(topic, record.part, record.offset, record.seq, value["id"], message))


async def _sends(world: World, folder: Path, found: Evidence) -> None:
    rows = await world.stores.rows("notify", "SELECT id, decision, address FROM notify_delivery ORDER BY id")
    known = {row["id"]: Planned(decode_decision(row["decision"]), (row["address"] or "").lower()) for row in rows}
    addresses = {(of.decision.account, of.decision.user): of.address for of in known.values() if of.address}
    for channel, name in (("email", MAILS), ("webhook", HOOKS)):
        found.sends += _sent(channel, lines(folder / name), known)
    async for _, what, body in observations(world.stores, "notify", CONFIRMED, CONSENT):
        one = _consent(what, body)
        found.consents.append(one._replace(address=one.address or addresses.get((one.account, one.user), "")))


class Planned(NamedTuple):
    """A delivery as notify planned it; the address is in lower case."""

    decision: Decision
    address: str


def _sent(channel: str, journal: Iterator[Any], known: dict[str, Planned]) -> Iterator[Send]:
    for line in journal:
        name, at = line["delivery"], line["at"]
        if name not in known:
            yield Send(channel, name, f"nothing that notify planned: {name}", "", "", "", "", at)
            continue
        planned, address = known[name]
        who = (planned.play, planned.account, planned.occurrence, planned.step, planned.user, planned.channel)
        occasion = "/".join(str(word) for word in who)
        yield Send(
            channel,
            name,
            occasion,
            planned.account,
            planned.user or "",
            planned.outreach_class,
            planned.topic,
            at,
            address,
        )


def _consent(what: str, body: list[Any]) -> Consent:
    if what == CONFIRMED:
        delivery, account, user, topic, outreach_class, address = body
        return Consent(account, user or "", "last word", topic, outreach_class, delivery, (address or "").lower())
    account, user, topic, granted = body
    return Consent(account, user, "yes" if granted else "no", topic)


async def _money(world: World, found: Evidence) -> None:
    statement = "SELECT transaction_id, reward_id, ledger_account, amount, currency FROM advocacy_ledger_entry"
    for row in await world.stores.rows("advocacy", statement):
        found.entries.append(Entry(*dict(row).values()))
    for row in await world.stores.rows("advocacy", "SELECT id, referral_id, side FROM advocacy_reward"):
        found.rewards.append(Reward(*dict(row).values()))


def _caps() -> list[Cap]:
    budget = definition(Settings(config=COMPANY)).playbook.budget
    return [
        Cap(cap.name, cap.max, cap.within.total_seconds(), cap.account, cap.classes, cap.topics) for cap in budget.caps
    ]
