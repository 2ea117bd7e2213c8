"""Golden data of released layouts: they migrate, open, answer as before, go on and replay, and nothing in them is lost."""

import asyncio
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace
from pydantic import SecretStr
from sqlalchemy import select

from services.lifecycle.core.compiled_definition import CompiledDefinition, compile_definition
from services.lifecycle.core.definition import Definition
from services.lifecycle.core.feedback import as_event
from services.lifecycle.core.fold import advance, fold
from services.lifecycle.core.state import Account, begin
from services.lifecycle.layouts import LAYOUTS
from services.lifecycle.tables import account as account_table
from services.lifecycle.tables import decision as decision_table
from shared.bus.outbox import decode_block
from shared.bus.tables import log_block
from shared.contracts.advocacy import AdvocacyMessage
from shared.contracts.outreach import OutreachMessage
from shared.contracts.topics import TOPICS, USAGE
from shared.contracts.usage import HISTORY_ENDED, UsageEvent
from shared.definitions import load
from shared.settings import Settings
from tests.conftest import ROOT, scaled
from tests.golden.comparison import Values, different, lost, postgres_tables, sqlite_tables
from tests.golden.readout import readout
from tests.golden.release import SERVICES, config, database, expectation, migrated, opened, unpacked
from tests.golden.scenario import LINK, MOMENT, settings
from tests.journey.services import RunningServices
from tests.make import FakeClock, eventually
from tests.service.notify.doors import Mailbox, mail_server
from waymark import migrations
from waymark.assembly import WIRES
from waymark.replay import Scope, replay

STILL = MOMENT - timedelta(days=1)
"""A day before the data were taken: a clock at which nothing in them is due and no lease has run out."""

FEEDBACK: dict[str, Any] = {"outreach.v1": OutreachMessage, "advocacy.v1": AdvocacyMessage}
TIED = "birchfen-insurance"
"""Of two surveys answered at one instant the release took the one that arrived last, and raised a signal with it; today the
answers themselves decide which counts.
"""
UNFINISHED = "hollowell-pharma"
"""The account whose import has not ended."""


def test_the_golden_data_hold_what_they_are_for() -> None:
    found = expectation("embedded")
    accounts, outbox = found["/lifecycle/v1/accounts"], found["/notify/v1/outbox"]
    referrals = found["/advocacy/v1/referrals"]
    rewards = {reward["status"] for one in referrals for reward in one["rewards"]}

    stages = {"onboarding", "adoption", "value_realization", "expansion", "retention", "advocacy", "churned"}
    assert {one["stage"] for one in accounts} == stages
    statuses = {"previewed", "pending", "sending", "sent", "skipped", "failed", "unknown", "opened", "done"}
    assert {one["status"] for one in outbox} == statuses
    assert {one["status"] for one in referrals} == {"waiting", "attributed", "refused", "converted", "reversed"}
    assert rewards >= {"held", "payable", "paid", "reversed"}
    assert found["/advocacy/v1/asks"].keys() >= {"open", "accepted", "declined"}
    assert len({one["reason"] for one in found["/ingest/v1/parked"]}) >= 6


async def test_migrations_lose_no_value(golden: Settings) -> None:
    before = sqlite_tables(database(golden))

    await migrated(golden)

    assert lost(before, sqlite_tables(database(golden))) == []
    assert migrations.pending(golden, list(WIRES)) == []
    assert migrations.drift(golden, list(WIRES)) == []


async def test_what_is_asked_is_answered_as_before(golden: Settings) -> None:
    await migrated(golden)
    async with opened(golden, FakeClock(STILL)) as on:
        found = await readout(on)

    assert list(different(expectation("embedded"), found)) == []


def active_accounts(found: dict[str, Any]) -> list[str]:
    """Customers that the wall clock drives."""
    accounts = found["/lifecycle/v1/accounts"]
    return [one["id"] for one in accounts if one["stage"] != "churned" and one["id"] != UNFINISHED]


def newcomer(day: datetime) -> list[dict[str, Any]]:
    """Somebody signs up after the update."""
    who = {"userId": "late-ann", "context": {"groupId": "latecomer"}, "timestamp": day.isoformat()}
    traits = {"email": "ann@latecomer.example", "name": "Ann Lee", "role": "admin", "timezone": "UTC"}
    return [
        {**who, "type": "group", "messageId": "late-g", "groupId": "latecomer", "traits": {"name": "Latecomer"}},
        {**who, "type": "identify", "messageId": "late-i", "traits": traits},
        {**who, "type": "track", "event": "Signed Up", "messageId": "late-s"},
    ]


def uses(accounts: list[str], day: datetime) -> list[dict[str, Any]]:
    """One use by each of these accounts."""
    return [
        {
            "type": "track",
            "event": "Feature Used",
            "messageId": f"after-{account}-{day.date()}",
            "userId": f"{account}-regular",
            "timestamp": day.isoformat(),
            "properties": {"feature": "reports"},
            "context": {"groupId": account},
        }
        for account in accounts
    ]


class After:
    """The company after the update."""

    def __init__(self, on: RunningServices, clock: FakeClock) -> None:
        self.on, self.clock = on, clock

    async def post(self, bodies: list[dict[str, Any]]) -> None:
        answer = await self.on.http.post("/v1/batch", json={"batch": bodies}, auth=(self.on.write_key, ""))
        assert answer.status_code == 200, answer.text
        await self.on.wait_until_idle()

    async def outbox(self) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in await self.on.pages("/notify/v1/outbox", limit=500)}

    async def parked(self, service: str) -> dict[str, Any]:
        return {one["id"]: one for one in await self.on.pages(f"/{service}/v1/parked", limit=500)}

    async def account(self, name: str) -> Any:
        return await self.on.get(f"/lifecycle/v1/accounts/{name}")


@asynccontextmanager
async def updated(golden: Settings, box: Mailbox) -> AsyncIterator[After]:
    """The migrated data, open, an hour after they were taken, with a mail server that takes everything."""
    clock = FakeClock(MOMENT + timedelta(hours=1))
    async with mail_server(box) as port:
        live = golden.model_copy(update={"smtp_url": SecretStr(f"smtp://127.0.0.1:{port}")})
        await migrated(live)
        async with opened(live, clock) as on:
            yield After(on, clock)


async def test_mail_on_its_way_is_sent_once(golden: Settings) -> None:
    before = {one["id"]: one for one in expectation("embedded")["/notify/v1/outbox"]}
    started = {name for name, one in before.items() if one["status"] == "sending"}
    box = Mailbox()
    async with updated(golden, box) as after:

        async def nothing_waits() -> bool:
            # what a lost sender left is tried again after a pause
            after.clock.move(timedelta(minutes=1))
            return not {one["status"] for one in (await after.outbox()).values()} & {"sending", "pending"}

        await eventually(nothing_waits)
        today = await after.outbox()

    mailed = Counter(str(mail["Message-ID"]).strip("<>").partition("@")[0] for mail in box.mails)
    assert started
    assert set(mailed.values()) == {1}
    assert Counter(today[name]["status"] for name in started)["unknown"] == 1, (
        "the one whose data were sent is in doubt"
    )
    assert {today[name]["status"] for name in mailed} == {"sent"}
    for name, one in before.items():
        if one["status"] not in {"sending", "pending"}:
            assert list(different(one, today[name])) == []


async def test_events_go_on_and_time_goes_on(golden: Settings, tmp_path: Path) -> None:
    active = active_accounts(expectation("embedded"))
    box = Mailbox()
    async with updated(golden, box) as after:
        counted = {name: (await after.account(name))["metrics"]["core_events_28d"] for name in active}
        parked = {service: set(await after.parked(service)) for service in SERVICES}
        day = MOMENT + timedelta(hours=1)
        await after.post([*newcomer(day), *uses(active, day)])
        for name in active:
            assert (await after.account(name))["metrics"]["core_events_28d"] == counted[name] + 1, name

        async def welcomed() -> bool:
            return any(mail["To"].endswith("<ann@latecomer.example>") for mail in box.mails)

        await eventually(welcomed)
        after.clock.move(timedelta(days=3))
        await after.post(uses(active, after.clock.now()))

        async def midnight_passed() -> bool:
            driven = [one for one in states(database(golden)).values() if not one.replaying]
            return all(one.next_due is None or one.next_due > after.clock.now() for one in driven)

        await eventually(midnight_passed)
        await after.on.wait_until_idle()
        assert {service: set(await after.parked(service)) for service in SERVICES} == parked
        plays = {one["play"] for name, one in (await after.outbox()).items() if one["account"] == "latecomer"}
    assert "welcome" in plays

    replayed = await replay(golden, f"sqlite:///{tmp_path}/again.db", after.clock, Scope())
    assert {name: found.comparison.differing for name, found in replayed.items()} == {"lifecycle": [], "advocacy": []}
    assert replayed["lifecycle"].counts.checkpoints >= len(active), "the release had no journal: it begins here"


async def test_what_was_parked_is_taken_up_when_its_account_is_known(golden: Settings) -> None:
    async with updated(golden, Mailbox()) as after:
        before = await after.parked("ingest")
        waiting = {name for name, one in before.items() if one["about"] == "wanderer"}
        day = MOMENT + timedelta(hours=1)
        home = {"type": "identify", "userId": "wanderer", "messageId": "w", "timestamp": day.isoformat()}
        await after.post([{**home, "traits": {}, "context": {"groupId": "wanderers"}}])
        left = await after.parked("ingest")
        answer = await after.on.http.post("/ingest/v1/parked/redrive", json={"ids": sorted(left)})
        await after.on.wait_until_idle()

        assert waiting
        assert left.keys() == before.keys() - waiting
        assert (await after.account("wanderers"))["metrics"]["core_events_28d"] == 1
        assert answer.json() == {"taken": len(left)}
        assert (await after.parked("ingest")).keys() == left.keys(), "they are as unfit as before"


async def test_links_of_the_old_mails_still_work(golden: Settings) -> None:
    texts = [one for path, one in expectation("embedded").items() if path.startswith("/notify/v1/outbox/")]
    async with updated(golden, Mailbox()) as after:
        for purpose in ("notify/u", "advocacy/s"):
            links = [link for one in texts for link in LINK.findall(one["text"]) if link.startswith(f"/{purpose}/")]
            answers = [(await after.on.http.get(link)).status_code for link in links]
            assert 200 in answers, purpose
            assert set(answers) <= {200, 410}, purpose


async def test_an_import_that_was_under_way_comes_to_its_end(golden: Settings) -> None:
    who = {"userId": "u1", "context": {"groupId": UNFINISHED}, "timestamp": MOMENT.isoformat(), "type": "track"}
    ended = {**who, "event": HISTORY_ENDED, "messageId": "ended", "properties": {"live": True}, "history": "unfinished"}
    async with updated(golden, Mailbox()) as after:
        assert states(database(golden))[UNFINISHED].replaying
        await after.post([ended])
        assert not states(database(golden))[UNFINISHED].replaying


class Kept(NamedTuple):
    """A block of the log as it is stored: what it carries, and when it was committed."""

    appended_at: Any
    topic: str
    block: bytes


BLOCKS = select(log_block.c.appended_at, log_block.c.topic, log_block.c.block).order_by(*log_block.primary_key)


def archive(blocks: list[Kept]) -> dict[str, list[UsageEvent]]:
    """What each account was told, in the order of the commits; usage before what came back in the same moment."""
    told: dict[str, list[UsageEvent]] = {}
    for kept in sorted(blocks, key=lambda one: (one.appended_at, one.topic != USAGE.name)):
        for record in decode_block(kept.block) if kept.topic in {USAGE.name, *FEEDBACK} else ():
            if kept.topic == USAGE.name:
                event: UsageEvent | None = msgspec.json.decode(record.value, type=UsageEvent)
            else:
                event = as_event(msgspec.json.decode(record.value, type=FEEDBACK[kept.topic]))
            if event is not None:
                told.setdefault(event.account, []).append(event)
    return told


def again(name: str, events: list[UsageEvent], live: Account, rules: CompiledDefinition) -> tuple[Account, list[Any]]:
    """The account folded anew up to the midnight at which it stands, and what was decided about it.

    The release took what came back to an account as it came, as an event like any other; today it waits for its place.
    """
    one, decided = begin(name, events[0].at), list[Any]()
    for event in events:
        decided += fold(one, event, rules, MOMENT)
    if live.next_due is not None:
        decided += advance(one, live.next_due - timedelta(days=1), rules, MOMENT)
    return one, msgspec.json.decode(msgspec.json.encode(decided))


def replays(
    live: dict[str, bytes], stored: dict[str, list[Any]], blocks: list[Kept], rules: CompiledDefinition
) -> list[str]:
    """Fold every account anew from the first event of the archive: those whose state is not the same, byte for byte.

    Each goes the same way of stages. What was decided at which moment is not compared: where a midnight's timer came
    before an evening's events, it decided without them, and when timers fired is in no log. Nor is what only metrics keep
    that are younger than the release: no account of it has that.
    """
    told, differing = archive(blocks), list[str]()
    assert told.keys() == live.keys()
    states = {name: LAYOUTS.decode(blob) for name, blob in live.items()}
    kept = {store for state in states.values() for store in (*state.open_items, *state.latest)}
    for name, state in states.items():
        replayed, decided = again(name, told[name], state, rules)
        rules.recognise(state)
        for stores in (replayed.open_items, replayed.latest):
            for younger in stores.keys() - kept:
                del stores[younger]
        rules.recognise(replayed)
        as_of_release(replayed, state)
        as_of_release(state, replayed)
        assert state.history_over is False, "the release did not know whether the history that holds an account is over"
        replayed.history_over = False
        assert stages(decided) == stages(stored[name]), name
        if LAYOUTS.encode(replayed) != LAYOUTS.encode(state):
            differing.append(name)
    return differing


def as_of_release(account: Account, other: Account) -> None:
    """Without what decides between events of one instant, and who was removed when: the release did not remember that."""
    keyed = [each for values in account.open_items.values() for each in values.values()]
    for value in (*account.traits.values(), *account.latest.values(), *keyed):
        value.tie = 0
    for contact in account.contacts.values():
        contact.tie, contact.moments, contact.consent_at = 0, None, None
        if contact.claim is not None:
            contact.claim.tie, contact.claim.moments, contact.claim.consent_at = 0, None, None
    for active in account.active_members.values():
        active.gone.clear()
        for seen in active.members.values():
            seen.second = 0
    account.departed.clear()
    account.decision_marks = b""
    for name in [name for name, trait in account.traits.items() if trait.value is None and name not in other.traits]:
        del account.traits[name]


YOUNGER = {"quiet", "ticket_closed"}
"""Flags and facts of today's definition that the release did not have: they tell more, of the same events."""


def definition_of_release(settings: Settings) -> CompiledDefinition:
    """Today's definition without what is younger than the release."""
    loaded = load(settings.config / "lifecycle.yaml", Definition)
    flags = {name: flag for name, flag in loaded.value.flags.items() if name not in YOUNGER}
    facts = [fact for fact in loaded.value.facts if fact not in YOUNGER]
    assert len(loaded.value.flags) + len(loaded.value.facts) == len(flags) + len(facts) + len(YOUNGER)
    return compile_definition(loaded._replace(value=replace(loaded.value, flags=flags, facts=facts)))


def answered(found: dict[str, Any]) -> set[str]:
    """Accounts that answered a survey or got a mail: lifecycle hears of both."""
    answers = [one["account"] for path, items in found.items() if path.endswith("/answers") for one in items]
    return {*answers, *(one["account"] for one in found["/notify/v1/outbox"] if one["status"] == "sent")}


def stages(decided: list[dict[str, Any]]) -> list[str]:
    """Every stage that was entered, in order."""
    return [one["stage"] for one in decided if one["kind"] == "stage_changed"]


def states(file: Path) -> dict[str, Account]:
    """Every account's state in lifecycle."""
    with closing(sqlite3.connect(file)) as read:
        return {name: LAYOUTS.decode(blob) for name, blob in read.execute(str(STATES))}


STATES = select(account_table.c.id, account_table.c.state)
DECISIONS = select(decision_table.c.account_id, decision_table.c.body).order_by(*decision_table.primary_key)


def by_account(rows: Iterable[tuple[str, bytes]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, body in rows:
        found.setdefault(name, []).append(msgspec.json.decode(body))
    return found


async def test_the_archive_tells_the_same_story_again(golden: Settings) -> None:
    await migrated(golden)
    with closing(sqlite3.connect(database(golden))) as read:
        blocks = [Kept(*row) for row in read.execute(str(BLOCKS))]
        live, stored = dict(read.execute(str(STATES))), by_account(read.execute(str(DECISIONS)))

    assert replays(live, stored, blocks, definition_of_release(golden)) == [TIED]
    assert {kept.topic for kept in blocks} == {topic.name for topic in TOPICS}


async def restored(url: str, script: str) -> None:
    """Run the dump on an empty database."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


NEW_TOPICS = """
UPDATE {service}.consumer_cursor SET next_off = 0, next_seq = -1, last_hash = NULL;
UPDATE {service}.relay_lease SET until = 'epoch';
"""
"""What docs/operations.md says where topics cannot be had any more, in the names of the layout of the dump; and the lease
of the relay that wrote it has run out, as it does ten seconds after a dump: the clock of these tests stands still.
"""


@pytest.fixture
async def golden_postgres(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The dump of the scaled-out deployment in a database of its own, and a Kafka with empty topics."""
    scaled_out = scaled(request, tmp_path, empty=True)
    name = str(scaled_out.database_url).rpartition("/")[2]
    dsn = request.getfixturevalue("postgres").dsn(name)
    script = unpacked("waymark.sql.xz").decode() + "".join(NEW_TOPICS.format(service=one) for one in SERVICES)
    await restored(dsn, script)
    more = {"database_url": scaled_out.database_url, "bus_url": scaled_out.bus_url}
    return settings(tmp_path / "data", config(tmp_path / "config"), topic_prefix=scaled_out.topic_prefix, **more)


def dsn_of(where: Settings) -> str:
    return str(where.database_url).replace("+asyncpg", "")


@pytest.mark.servers
async def test_migrations_of_postgres_lose_no_value(golden_postgres: Settings) -> None:
    before = await postgres_tables(dsn_of(golden_postgres), list(SERVICES))

    await migrated(golden_postgres)

    assert {name.partition(".")[0] for name in before} == set(SERVICES)
    assert lost(before, await postgres_tables(dsn_of(golden_postgres), list(SERVICES))) == []
    assert await asyncio.to_thread(migrations.pending, golden_postgres, list(WIRES)) == []
    assert await asyncio.to_thread(migrations.drift, golden_postgres, list(WIRES)) == []


MIGRATED_ONCE = """
CREATE TABLE public.moved (history TEXT, revision TEXT);
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO public.moved VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, NEW.version_num); RETURN NEW; END $$;
"""


@pytest.mark.servers
async def test_three_that_migrate_an_old_postgres_at_once_migrate_it_once(golden_postgres: Settings) -> None:
    """Each step of each history leaves a note: there is one of each, and all processes find the tables up to date."""
    versions = [f"{service}.{history}_version" for service in SERVICES for history in ("bus", service)]
    noted = "CREATE TRIGGER noted AFTER UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION public.note();"
    await restored(dsn_of(golden_postgres), MIGRATED_ONCE + "".join(map(noted.format, versions)))
    variables = {"WAYMARK_DATABASE_URL": str(golden_postgres.database_url), "WAYMARK_DATA": str(golden_postgres.data)}
    command = (sys.executable, "-m", "waymark", "migrate")
    at_once = [
        await asyncio.create_subprocess_exec(*command, cwd=ROOT, env={**os.environ, **variables}) for _ in range(3)
    ]

    assert [await one.wait() for one in at_once] == [0, 0, 0]

    read = await asyncpg.connect(dsn_of(golden_postgres))
    try:
        steps = [tuple(row) for row in await read.fetch("SELECT history, revision FROM public.moved")]
    finally:
        await read.close()
    assert {history for history, _ in steps} == set(versions)
    assert len(steps) == len(set(steps)), "a revision ran twice"
    assert await asyncio.to_thread(migrations.pending, golden_postgres, list(WIRES)) == []


@pytest.mark.servers
async def test_postgres_answers_as_before_and_goes_on(golden_postgres: Settings) -> None:
    clock = FakeClock(STILL)
    await migrated(golden_postgres)
    async with opened(golden_postgres, clock) as on:
        assert list(different(expectation("scaled"), await readout(on))) == []

        # the leases of the processes that held them have run out
        clock.time = day = MOMENT + timedelta(hours=1)
        after = After(on, clock)
        active = active_accounts(expectation("scaled"))
        counted = {name: (await after.account(name))["metrics"]["core_events_28d"] for name in active}
        parked = {service: set(await after.parked(service)) for service in SERVICES}
        await after.post(uses(active, day))
        for name in active:
            assert (await after.account(name))["metrics"]["core_events_28d"] == counted[name] + 1, name
        assert {service: set(await after.parked(service)) for service in SERVICES} == parked


@pytest.mark.servers
async def test_the_archive_in_postgres_tells_the_same_story_again(golden_postgres: Settings) -> None:
    await migrated(golden_postgres)
    read = await asyncpg.connect(dsn_of(golden_postgres))
    try:
        blocks = []
        for service in SERVICES:
            await read.execute(f"SET search_path TO {service}")
            blocks += [Kept(*row) for row in await read.fetch(str(BLOCKS))]
        await read.execute("SET search_path TO lifecycle")
        live, stored = dict(await read.fetch(str(STATES))), by_account(await read.fetch(str(DECISIONS)))
    finally:
        await read.close()

    # what came back to an account went on to Kafka: of the topics, only the archive is kept in the database
    assert {kept.topic for kept in blocks} == {USAGE.name}
    differing = set(replays(live, stored, blocks, definition_of_release(golden_postgres)))
    assert differing <= answered(expectation("scaled"))
    assert len(differing) <= len(live) // 4


def test_a_renamed_table_and_column_are_found_and_a_lost_row_or_value_is_noticed() -> None:
    old = {"box": Values(["id", "held"], [("1", "True"), ("2", "False")])}
    renamed = {"case": Values(["id", "replaying"], [("2", "False"), ("1", "True")])}

    assert lost(old, renamed) == []
    assert lost(old, {"case": Values(["id", "replaying"], [("1", "True")])})
    assert lost(old, {"box": Values(["id"], [("1",), ("2",)])})
    assert lost(old, {"box": Values(["id", "held"], [("1", "False"), ("2", "True")])})
