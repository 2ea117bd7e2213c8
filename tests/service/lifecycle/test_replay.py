"""The journal and the archive give every account once more, byte for byte, however it came to be."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random  # noqa: TID251  seeded: the same stories every time
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, func, select, update

from deploy.servers import Postgres
from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.handlers import FEEDBACK_GROUP, GROUP, Handlers
from services.lifecycle.layouts import LAYOUTS
from services.lifecycle.tables import JOURNAL, account, decision
from shared.bus.outbox import LogOutbox
from shared.bus.protocol import Bounds, Partition, ProducerRecord, Record, RecordBatch
from shared.bus.tables import log_block
from shared.contracts.advocacy import ReferralConverted
from shared.contracts.outreach import OutreachRecorded
from shared.contracts.topics import ADVOCACY, OUTREACH, USAGE, KeyedMessage, Topic
from shared.contracts.usage import UsageEvent
from shared.db.protocol import Database, Tx
from shared.failures import Parked, Refused
from shared.service import dead_letters
from shared.service.journal import DefinitionText, Journal, entries, of_time
from shared.service.ownership import claim_partition
from shared.service.processor import BatchProcessor, MessageBatch
from shared.settings import Settings
from shared.storage import open_database
from tests.conftest import Deployment, embedded
from tests.core.lifecycle.make import START, default_definition, event
from tests.make import NOON, FakeClock, migrated_storage
from waymark import migrations
from waymark.backup.commands import backup, restore
from waymark.replay import Replayed, Scope, replay, report

DAY = timedelta(days=1)
EVERYTHING = Scope()
_ALWAYS_OVER = 1e-9
_number = count()
_NAMES = ("acme", "globex", "initech", "hooli", "umbrella")


@pytest.fixture(scope="module")
def shipped() -> CompiledDefinition:
    return default_definition()


class Live:
    """Lifecycle at work. The log repeats itself now and then, as a relay does, so that its offsets are not the archive's places."""

    def __init__(
        self, database: Database, published: dict[str, Database], compiled: CompiledDefinition, seconds: float
    ) -> None:
        self.clock = FakeClock(START)
        self.database = database
        self.handlers = Handlers(compiled, lambda _: 0, self.clock, seconds)
        self.poisoned: set[str] = set()
        self.number = 0
        self._published = published
        self._log = LogOutbox(lambda _: 1, self.clock)
        self._waiting: dict[str, list[Record]] = {topic.name: [] for topic in (USAGE, OUTREACH, ADVOCACY)}
        self._end = dict.fromkeys(self._waiting, 0)
        self._places = dict.fromkeys(self._waiting, 0)
        given = (database, self.clock, None, seconds)
        self.usage = BatchProcessor(GROUP, [USAGE], self._usage, *given)
        self.feedback = BatchProcessor(FEEDBACK_GROUP, [OUTREACH, ADVOCACY], self.handlers.feedback, *given)
        self._claims: dict[str, Any] = {}

    async def _usage(self, tx: Tx, batch: MessageBatch) -> None:
        if any(message.id in self.poisoned for message in batch.messages):
            raise Parked("not today", "poisoned")
        await self.handlers.usage(tx, batch)

    async def publish(self, topic: Topic, messages: Sequence[KeyedMessage | bytes], *, twice: bool = False) -> None:
        """Into the outbox of its producer, and from there into the log."""
        values = [one if isinstance(one, bytes) else msgspec.json.encode(one) for one in messages]
        records = [
            ProducerRecord(b"acme" if isinstance(one, bytes) else one.account.encode(), value)
            for one, value in zip(messages, values, strict=True)
        ]
        async with self._published[topic.name].transaction() as tx:
            await self._log.append_records(tx, {Partition(topic.name, 0): records})
        first = self._places[topic.name]
        self._places[topic.name] += len(records)
        for _ in range(2 if twice else 1):
            for place, one in enumerate(records, first):
                self._waiting[topic.name].append(Record(self._end[topic.name], place, 0, one.key, one.value, b""))
                self._end[topic.name] += 1

    async def take(self, topic: Topic, most: int = 1000) -> None:
        """Handle what waits, at most so much."""
        records, processor = self._waiting[topic.name][:most], self.usage if topic is USAGE else self.feedback
        del self._waiting[topic.name][:most]
        if not records:
            return
        if topic.name not in self._claims:
            group = GROUP if topic is USAGE else FEEDBACK_GROUP
            async with self.database.transaction() as tx:
                bounds = Bounds(0, 1)
                self._claims[topic.name] = await claim_partition(
                    tx, group, Partition(topic.name, 0), bounds, "me", START
                )
        batch = RecordBatch(Partition(topic.name, 0), records)
        self._claims[topic.name] = await processor.process(batch, self._claims[topic.name])

    async def tick(self) -> None:
        async with self.database.transaction() as tx:
            due = await self.handlers.accounts.due(tx, 0, self.clock.time, 3)
            if due:
                await self.handlers.advance_time(tx, due, self.clock.time)

    def event(self, name: str = "feature_used:report", back: float = 0.0, **more: Any) -> UsageEvent:
        """So many days before now."""
        self.number += 1
        at = self.clock.time - timedelta(days=back)
        return event(name, at, self.number, **{"account": "acme", "user": "ann", "received_at": self.clock.time} | more)

    def sent(self, account: str) -> OutreachRecorded:
        self.number += 1
        common = {"id": f"o{self.number}", "account": account, "at": self.clock.time, "decided_at": self.clock.time}
        said = {"delivery": "d", "play": "p", "step": "s", "channel": "email", "outreach_class": "onboarding"}
        return OutreachRecorded(**common, **said, status="sent", user="ann")  # type: ignore[arg-type]

    def converted(self, account: str) -> ReferralConverted:
        self.number += 1
        common = {"id": f"r{self.number}", "account": account, "at": self.clock.time, "decided_at": self.clock.time}
        return ReferralConverted(**common, user="ann", code="c", referred_account="other")  # type: ignore[arg-type]


@asynccontextmanager
async def running(settings: Settings, compiled: CompiledDefinition, seconds: float = 1e9) -> AsyncIterator[Live]:
    if settings.embedded:
        migrations.migrate(settings, ["ingest", "lifecycle", "notify", "advocacy"])
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(migrated_storage(settings, "lifecycle"))
        published = {
            topic.name: opened.database
            if settings.embedded
            else await stack.enter_async_context(open_database(settings, str(topic.producer), FakeClock()))
            for topic in (USAGE, OUTREACH, ADVOCACY)
        }
        yield Live(opened.database, published, compiled, seconds)


async def again(settings: Settings, folder: Path, scope: Scope = EVERYTHING) -> Replayed:
    url = f"sqlite:///{folder}/again-{next(_number)}.db"
    return (await replay(settings, url, FakeClock(), scope))["lifecycle"]


async def any_story(live: Live, seed: int) -> None:
    """Ninety turns of everything: late and repeated records, invalid ones, feedback, an import, silence, a clock that jumps."""
    chance = Random(seed)  # noqa: S311  no secret
    for turn in range(90):
        name = chance.choice(_NAMES)
        kinds = {
            "use": live.event(account=name, user=chance.choice(("ann", "bob"))),
            "late": live.event(account=name, back=chance.uniform(1, 20)),
            "group": live.event("", type="group", account=name, properties={"plan": chance.choice(("pro", "free"))}),
            "identify": live.event("", type="identify", account=name, properties={"email": f"a{turn}@x.io"}),
            "imported": live.event(account=name, back=chance.uniform(20, 90), history="i1"),
            "browser": live.event("subscription_started", account=name, trust="browser"),
        }
        await live.publish(USAGE, [kinds[chance.choice(sorted(kinds))]], twice=chance.random() < 0.3)
        if chance.random() < 0.1:
            await live.publish(USAGE, [b"{}", live.event(account=name)])
        if chance.random() < 0.3:
            await live.publish(OUTREACH, [live.sent(chance.choice((*_NAMES, "stranger")))], twice=chance.random() < 0.3)
        if chance.random() < 0.1:
            await live.publish(ADVOCACY, [live.converted(chance.choice((*_NAMES, "stranger")))])
        for topic in chance.sample((USAGE, OUTREACH, ADVOCACY), 2):
            await live.take(topic, chance.choice((1, 2, 7, 100)))
        live.clock.time += chance.choice(
            (timedelta(minutes=5), timedelta(hours=9), 3 * DAY, 70 * DAY * (turn % 30 == 29))
        )
        for _ in range(chance.randint(0, 3)):
            await live.tick()


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_replay_comes_to_the_same_accounts_decisions_and_visits(
    deployment: Deployment, tmp_path: Path, shipped: CompiledDefinition, seed: int
) -> None:
    """In the second story every time slice is over at once."""
    async with running(deployment.settings, shipped, 1e9 if seed == 1 else _ALWAYS_OVER) as live:
        await any_story(live, seed)
        found = await again(deployment.settings, tmp_path)

        assert found.comparison.differing == []
        assert found.comparison.same == len(_NAMES)
        assert found.counts.messages > 90
        one = await again(deployment.settings, tmp_path, Scope(account="hooli"))
        assert (one.equal, one.comparison.same) == (True, 1)
        assert 0 < one.counts.messages < found.counts.messages
        of_partition = await again(deployment.settings, tmp_path, Scope(partition=0))
        assert of_partition.comparison.same == len(_NAMES)


@pytest.mark.servers
async def test_a_replay_goes_into_an_empty_postgresql_too_and_only_into_an_empty_one(
    postgres: Postgres, tmp_path: Path, shipped: CompiledDefinition
) -> None:
    url = postgres.create_database("replayed")
    async with running(embedded(tmp_path), shipped) as live:
        await any_story(live, 5)
        found = await replay(embedded(tmp_path), url, FakeClock(), EVERYTHING)
        assert found["lifecycle"].comparison.differing == []
        assert found["lifecycle"].comparison.same == len(_NAMES)
        with pytest.raises(Refused, match="holds data"):
            await replay(embedded(tmp_path), url, FakeClock(), EVERYTHING)


async def test_what_is_missing_in_the_journal_or_was_changed_past_it_is_told(
    deployment: Deployment, tmp_path: Path, shipped: CompiledDefinition
) -> None:
    journal = JOURNAL.journal
    async with running(deployment.settings, shipped) as live:
        await any_story(live, 3)
        async with live.database.transaction() as tx:
            [tick] = await tx.all(
                select(journal.c.n).where(journal.c.kind == "time").order_by(journal.c.n.desc()).limit(1)
            )
            await tx.run(update(account).where(account.c.id == "acme").values(name="told by hand"))
        [difference] = (await again(deployment.settings, tmp_path)).comparison.differing
        assert (difference.account, difference.where) == ("acme", "lifecycle_account.name")
        async with live.database.transaction() as tx:
            await tx.run(delete(journal).where(journal.c.n == tick.n))
        found = await again(deployment.settings, tmp_path)

    assert {one.where for one in found.comparison.differing} >= {"lifecycle_account.state", "lifecycle_account.clock"}
    assert "acme: lifecycle_account.name is told by hand, replayed acme" in report({"lifecycle": found})


async def test_a_record_that_was_parked_counts_from_when_it_was_redriven(
    deployment: Deployment, tmp_path: Path, shipped: CompiledDefinition
) -> None:
    async with running(deployment.settings, shipped) as live:
        first, poison, last = (live.event() for _ in range(3))
        live.poisoned = {poison.id}
        await live.publish(USAGE, [first, poison, last], twice=True)
        await live.take(USAGE)
        assert (await again(deployment.settings, tmp_path)).counts.messages == 2
        live.poisoned = set()
        async with live.database.snapshot() as read:
            [parked] = await dead_letters.list_open(read, GROUP, dead_letters.DeadLetterFilter(), None, 10)
        assert await live.usage.redrive(parked.id) == 1
        found = await again(deployment.settings, tmp_path)

    assert found.equal
    assert found.counts.messages == 3


async def test_accounts_of_before_the_journal_begin_at_a_checkpoint(
    deployment: Deployment, tmp_path: Path, shipped: CompiledDefinition
) -> None:
    journal = JOURNAL.journal
    async with running(deployment.settings, shipped) as live:
        await any_story(live, 4)
        async with live.database.transaction() as tx:  # as an earlier version would have left it
            await tx.run(delete(journal))
            await tx.run(update(account).values(journaled=False))
        nothing = await again(deployment.settings, tmp_path)
        assert (nothing.counts.entries, nothing.comparison.unseen, nothing.equal) == (0, len(_NAMES), True)
        await live.publish(USAGE, [live.event(account="acme"), live.event(account="globex"), live.event(account="new")])
        await live.take(USAGE)
        live.clock.time += 40 * DAY
        await live.tick()
        found = await again(deployment.settings, tmp_path)

        async with live.database.snapshot() as read:
            checkpoints = await read.scalar(select(func.count()).select_from(JOURNAL.checkpoint))
            decisions = await read.scalar(select(func.count()).select_from(decision))
    assert found.comparison.differing == []
    assert found.counts.checkpoints == checkpoints >= 2
    assert found.comparison.same == checkpoints + 1
    assert decisions


async def test_a_replay_begins_with_an_empty_database_and_says_what_the_archive_lacks(
    deployment: Deployment, tmp_path: Path, shipped: CompiledDefinition
) -> None:
    async with running(deployment.settings, shipped) as live:
        await live.publish(USAGE, [live.event()])
        await live.take(USAGE)
        (tmp_path / "there.db").touch()
        with pytest.raises(Refused, match=r"there\.db is there already"):
            await replay(deployment.settings, f"sqlite:///{tmp_path}/there.db", FakeClock(), Scope())
        with pytest.raises(Refused, match="no account 'nobody'"):
            await again(deployment.settings, tmp_path, Scope(account="nobody"))
        async with live._published[USAGE.name].transaction() as tx:  # noqa: SLF001
            await tx.run(delete(log_block))
        found = await again(deployment.settings, tmp_path)
    assert "usage.v1[0] has no record 0 in the archive" in report({"lifecycle": found})
    assert not found.equal


async def test_a_restored_journal_goes_on_behind_what_it_has(
    deployment: Deployment, tmp_path: Path, shipped: CompiledDefinition
) -> None:
    async with running(deployment.settings, shipped) as live:
        for _ in range(3):
            await live.publish(USAGE, [live.event()])
            await live.take(USAGE)
    file = await backup(deployment.settings, tmp_path / "kept", NOON)
    await restore(deployment.settings, file, NOON, replace=True)
    async with migrated_storage(deployment.settings, "lifecycle") as opened:
        async with opened.database.transaction() as tx:
            await Journal(JOURNAL, DefinitionText("v", {})).write(tx, of_time(0, ["acme"], NOON, {}, NOON), {})
        async with opened.database.snapshot() as read:
            found = await entries(read, JOURNAL, 0, 10)

    assert [one.input.kind for one in found] == ["range", "range", "range", "time"]


async def test_what_would_be_so_without_an_event_is_shown_and_nothing_is_changed(
    deployment: Deployment, tmp_path: Path, shipped: CompiledDefinition
) -> None:
    async with running(deployment.settings, shipped) as live:
        use, bogus = live.event(), live.event("subscription_started", properties={"mrr": 1e9, "plan": "pro"})
        await live.publish(USAGE, [use, bogus, live.event(account="globex")])
        await live.take(USAGE)
        found = await again(deployment.settings, tmp_path, Scope("acme", without=[bogus.id]))
        whole = await again(deployment.settings, tmp_path)

    assert found.counts.messages == 1
    assert {one.account for one in found.comparison.differing} == {"acme"}
    assert "lifecycle_account.state" in {one.where for one in found.comparison.differing}
    assert whole.equal


async def test_an_account_that_was_changed_past_the_journal_can_begin_anew(
    deployment: Deployment, tmp_path: Path, shipped: CompiledDefinition
) -> None:
    async with running(deployment.settings, shipped) as live:
        await any_story(live, 6)
        async with live.database.transaction() as tx:
            altered = await tx.scalar(select(account.c.state).where(account.c.id == "globex"))
            state = LAYOUTS.decode(altered)
            state.flags["planted"] = START
            await tx.run(update(account).where(account.c.id == "globex").values(state=LAYOUTS.encode(state)))
        assert {one.account for one in (await again(deployment.settings, tmp_path)).comparison.differing} == {"globex"}
        async with live.database.transaction() as tx:
            await tx.run(update(account).where(account.c.id == "globex").values(journaled=False))
        await live.publish(USAGE, [live.event(account="globex"), live.event(account="acme")])
        await live.take(USAGE, 100)
        found = await again(deployment.settings, tmp_path)

    assert found.comparison.differing == []
    assert (found.comparison.same, found.counts.checkpoints) == (len(_NAMES), 1)
