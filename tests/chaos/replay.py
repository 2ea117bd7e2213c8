"""Replay: every account made once more from the journal and the archive alone, message by message, by the pure core.

The product's own `waymark replay` decides in the batches and at the moments of the journal. Here nothing of that is taken:
what an account comes to may depend on neither.
"""

import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import select

from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.feedback import as_event, keep, wakes_at
from services.lifecycle.core.fold import fold
from services.lifecycle.core.state import Account, begin
from services.lifecycle.layouts import LAYOUTS
from services.lifecycle.replay import TOPICS
from services.lifecycle.tables import JOURNAL, account, decision
from services.lifecycle.wiring import load_definition
from shared.bus.archive import Archive
from shared.bus.outbox import decode_block
from shared.clock import SystemClock
from shared.contracts.topics import USAGE
from shared.contracts.usage import UsageEvent
from shared.db.protocol import Read
from shared.service.replay import EntryTaken, Reading
from shared.settings import Settings
from tests.chaos.evidence import Replayed
from tests.chaos.profile import COMPANY
from tests.chaos.times import pass_midnights
from tests.chaos.world import World
from waymark.replay import Scope, opened, replay, services

_WHENEVER = datetime(2000, 1, 1, tzinfo=UTC)
"""When it was decided is no part of the state."""
Midnights = dict[str, int]
"""For each account at how many midnights was looked at most at once."""

_usage = msgspec.json.Decoder(UsageEvent).decode


async def archive(world: World) -> AsyncIterator[tuple[int, int, UsageEvent]]:
    """Every archived event: partition, place, event."""
    places = await world.stores.rows(
        "ingest",
        "SELECT partition, base_offset FROM log_block WHERE topic = 'usage.v1' ORDER BY partition, base_offset",
    )
    for place in places:
        where = f"topic = 'usage.v1' AND partition = {place['partition']} AND base_offset = {place['base_offset']}"
        [row] = await world.stores.rows("ingest", f"SELECT block FROM log_block WHERE {where}")
        for offset, record in enumerate(decode_block(row["block"]), place["base_offset"]):
            yield place["partition"], offset, _usage(record.value)


async def replayed(world: World) -> tuple[dict[str, Replayed], Midnights]:
    """Every account's state and decisions, as they are and as they come again, and the most midnights looked at for one event."""
    settings = Settings(
        database_url=world.environment["WAYMARK_DATABASE_URL"], bus_url=world.environment.get("WAYMARK_BUS_URL")
    )
    async with (
        opened(settings, SystemClock(), services(settings)["lifecycle"]) as (kept, database),
        database.snapshot() as read,
    ):
        live = await states_as_they_are(read)
        again, midnights = await states_again(read, kept, load_definition(Settings(config=COMPANY)))
    found = {name: Replayed(live.get(name, "unknown"), again.get(name, "nothing")) for name in live | again}
    return found | await _by_the_product(settings), midnights


async def _by_the_product(settings: Settings) -> dict[str, Replayed]:
    """What `waymark replay` says: one for each service, and one for each difference."""
    found = dict[str, Replayed]()
    with tempfile.TemporaryDirectory() as folder:
        replays = await replay(settings, f"sqlite:///{folder}/again.db", SystemClock(), Scope())
    for name, (_, compared) in replays.items():
        found[f"{name} as it was"] = Replayed("", "")
        for one in compared.differing:
            found[f"{name}: {one.account}: {one.where}"] = Replayed(repr(one.live)[:200], repr(one.again)[:200])
    return found


async def states_as_they_are(read: Read) -> dict[str, str]:
    """Every account: a hash of its state and the ids of its decisions."""
    message_ids: dict[str, list[str]] = defaultdict(list)
    for row in await read.all(select(decision.c.account_id, decision.c.body).order_by(*decision.primary_key)):
        message_ids[row.account_id].append(msgspec.json.decode(row.body)["id"])
    rows = await read.all(select(account.c.id, account.c.state))
    return {row.id: _hash(bytes(row.state), message_ids[row.id]) for row in rows}


async def states_again(read: Read, kept: Archive, rules: CompiledDefinition) -> tuple[dict[str, str], Midnights]:
    """The same, of every account that the journal tells of, and the most midnights looked at for one input."""
    again = _Again(rules)
    async for page in Reading(read, JOURNAL, TOPICS, kept, None).pages():
        for taken in page:
            again.take(taken)
    return again.hashes(), again.midnights


class _Again:
    """The accounts, made once more."""

    def __init__(self, rules: CompiledDefinition) -> None:
        self._rules = rules
        self._accounts: dict[str, Account] = {}
        self._message_ids: dict[str, list[str]] = defaultdict(list)
        self._early: dict[str, UsageEvent] = {}
        self.midnights: Midnights = {}

    def take(self, taken: EntryTaken) -> None:
        """What one transaction took."""
        kind, details = taken.entry.input.kind, taken.entry.input.details
        if kind == "time":
            for name in taken.accounts:
                until = details.stopped.get(name, taken.entry.input.until)
                self._pass_time(name, until, to_event=details.to_event)
        elif kind == "command":
            for name, one in zip(details.arguments[::2], details.arguments[1::2], strict=True):
                self._keep(self._early.pop(one), begun=name in self._accounts)
        elif taken.entry.input.topic == USAGE.name:
            for event in taken.messages:
                self._fold(event)
        else:
            for event in map(as_event, taken.messages):
                if event is not None:
                    self._keep(event, begun=event.account not in details.unknown)

    def _fold(self, event: UsageEvent) -> None:
        known = self._accounts.setdefault(event.account, begin(event.account, event.at))
        self._pass_time(event.account, event.at, to_event=True)
        self._decided(event.account, fold(known, event, self._rules, _WHENEVER))

    def _keep(self, event: UsageEvent, *, begun: bool) -> None:
        if begun and event.account in self._accounts:
            keep(self._accounts[event.account], event)
        else:
            self._early[event.id] = event

    def _pass_time(self, name: str, until: Any, *, to_event: bool) -> None:
        """The wall clock passes nothing in an account that an import drives, but for what settles there."""
        account = self._accounts.get(name)
        if account is None or not (to_event or _is_due(account, until)):
            return
        steps = pass_midnights(account, until, self._rules, _WHENEVER)
        self.midnights[name] = max(len(steps), self.midnights.get(name, 0))
        for step in steps:
            self._decided(name, step)

    def hashes(self) -> dict[str, str]:
        return {name: _hash(LAYOUTS.encode(one), self._message_ids[name]) for name, one in self._accounts.items()}

    def _decided(self, name: str, messages: list[Any]) -> None:
        self._message_ids[name] += (one.id for one in messages)


def _is_due(account: Account, until: Any) -> bool:
    wakes = wakes_at(account)
    return wakes is not None and wakes <= until


def _hash(state: bytes, message_ids: list[str]) -> str:
    digest = sha256(state)
    for name in message_ids:
        digest.update(name.encode())
    return digest.hexdigest()[:24]
