"""Replay: the pure core fed with the archive, each account in the order in which it was read, must give the same state."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.feedback import as_event, keep
from services.lifecycle.core.fold import fold
from services.lifecycle.core.state import Account, begin
from services.lifecycle.layouts import LAYOUTS
from services.lifecycle.wiring import load_definition
from shared.bus.outbox import decode_block
from shared.contracts.advocacy import AdvocacyMessage
from shared.contracts.outreach import OutreachMessage
from shared.contracts.usage import UsageEvent
from shared.settings import Settings
from tests.chaos.evidence import Replayed
from tests.chaos.profile import COMPANY
from tests.chaos.times import pass_midnights
from tests.chaos.witness import ACCOUNT, CURSOR, observations
from tests.chaos.world import World

_USAGE = "usage.v1"
_FEEDBACK: dict[str, Any] = {"outreach.v1": OutreachMessage, "advocacy.v1": AdvocacyMessage}
_WHENEVER = datetime(2000, 1, 1, tzinfo=UTC)
"""When it was decided is no part of the state."""


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


class Touch(NamedTuple):
    """What moved an account once: the piece of a topic that was read, or (an empty piece) time, up to `until`."""

    topic: str
    was: int
    now: int
    until: datetime


class Placed(NamedTuple):
    """An event, and where in its partition it lay."""

    offset: int
    event: UsageEvent


Events = dict[tuple[str, str], list[Placed]]
"""By topic and account."""


async def replayed(world: World) -> tuple[dict[str, Replayed], dict[str, int]]:
    """Every account's state and decisions, as they are and as they come again, and the most midnights looked at for one event."""
    touches, events = await _touches(world), await _events(world)
    rules = load_definition(Settings(config=COMPANY))
    message_ids = defaultdict(list)
    for row in await world.stores.rows(
        "lifecycle", "SELECT account_id, body FROM lifecycle_decision ORDER BY account_id, seq"
    ):
        message_ids[row["account_id"]].append(msgspec.json.decode(row["body"])["id"])
    live = {
        row["id"]: _hash(row["state"], message_ids[row["id"]])
        for row in await world.stores.rows("lifecycle", "SELECT id, state FROM lifecycle_account")
    }
    found, midnights = dict[str, Replayed](), dict[str, int]()
    for name in sorted(live.keys() | touches.keys()):
        again, midnights[name] = _again(name, touches.get(name, []), events, rules)
        found[name] = Replayed(live.get(name, "unknown"), again)
    return found, midnights


async def _touches(world: World) -> dict[str, list[Touch]]:
    """A transaction moves or holds a cursor before it writes accounts: that says what it had read."""
    causes: dict[int, tuple[str, int, int]] = {}
    touches: dict[str, list[Touch]] = defaultdict(list)
    async for tx, what, body in observations(world.stores, "lifecycle", CURSOR, ACCOUNT):
        if what == CURSOR:
            _, topic, _, was, now, _ = body
            causes[tx] = topic, was, now
        else:
            name, clock = body
            touches[name].append(Touch(*causes[tx], _moment(clock)))
    return touches


async def _events(world: World) -> Events:
    found: Events = defaultdict(list)
    kept = {(part, place): event async for part, place, event in archive(world)}
    for topic in (_USAGE, *_FEEDBACK):
        read = msgspec.json.Decoder(_FEEDBACK.get(topic, UsageEvent)).decode
        fresh: dict[int, int] = defaultdict(int)
        async for record in world.records(topic):
            if record.seq < fresh[record.part]:
                continue
            fresh[record.part] = record.seq + 1
            event = kept.get((record.part, record.seq)) if topic == _USAGE else as_event(read(record.value))
            if event is not None:
                found[topic, event.account].append(Placed(record.offset, event))
    return found


def _again(name: str, touches: list[Touch], events: Events, rules: CompiledDefinition) -> tuple[str, int]:
    account: Account | None = None
    message_ids: list[str] = []
    most = 0

    def pass_time(account: Account, until: datetime) -> None:
        nonlocal most
        steps = pass_midnights(account, until, rules, _WHENEVER)
        most = max(most, len(steps))
        message_ids.extend(one.id for step in steps for one in step)

    for touch in touches:
        if touch.was == touch.now and account is not None:
            pass_time(account, touch.until)
        for event in _piece(events.get((touch.topic, name), []), touch):
            if touch.topic != _USAGE:
                if account is not None:
                    keep(account, event)
                continue
            account = account or begin(name, event.at)
            pass_time(account, event.at)
            message_ids += (one.id for one in fold(account, event, rules, _WHENEVER))
    return (_hash(LAYOUTS.encode(account), message_ids) if account is not None else "nothing"), most


def _piece(events: list[Placed], touch: Touch) -> Iterator[UsageEvent]:
    start = bisect_left(events, touch.was, key=lambda one: one.offset)
    while start < len(events) and events[start].offset < touch.now:
        yield events[start].event
        start += 1


def _hash(state: bytes, message_ids: list[str]) -> str:
    digest = sha256(state)
    for name in message_ids:
        digest.update(name.encode())
    return digest.hexdigest()[:24]


def _moment(value: str | int) -> datetime:
    """As either database's JSON says it."""
    if isinstance(value, int):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
    return datetime.fromisoformat(value).astimezone(UTC)
