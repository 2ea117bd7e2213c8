"""Golden data moved from one process on SQLite to PostgreSQL and Kafka, and back: the same state, and it goes on."""

import asyncio
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from shared.bus.tables import metadata as bus_metadata
from shared.clock import SystemClock
from shared.contracts.topics import TOPICS
from shared.failures import Refused
from shared.settings import Settings
from tests.conftest import ROOT, scaled
from tests.contract.house.databases import execute
from tests.golden.comparison import different
from tests.golden.readout import readout
from tests.golden.release import SERVICES, expectation, opened
from tests.golden.scenario import MOMENT, settings
from tests.golden.test_golden import STILL, After, active_accounts, uses
from tests.make import FakeClock
from waymark.assembly import WIRES, assembled
from waymark.backup import conversion
from waymark.backup.commands import backup, move, restore
from waymark.backup.content import Digest
from waymark.backup.file import BackupFile
from waymark.migrations import OWNERS, histories_of

NOW = MOMENT + timedelta(hours=1)
PARTITIONS = 3


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Another installation, on PostgreSQL and a Kafka without topics of its own, with the secret of the golden one."""
    of = scaled(request, tmp_path)
    more = {"database_url": of.database_url, "bus_url": of.bus_url, "topic_prefix": of.topic_prefix}
    return settings(tmp_path / "elsewhere", ROOT / "config", **more, partitions=PARTITIONS)


def url(where: Settings) -> str:
    return where.database


async def state(where: Settings, folder: Path, name: str) -> dict[str, Digest]:
    """The digest of each table of the services as they stand there."""
    file = await backup(where, folder / name, NOW)
    with BackupFile(file) as found:
        return conversion.digests(found)


def wherever(answers: dict[str, Any]) -> dict[str, Any]:
    """The answers without the ids of parked records, and their order: they name a place in the log."""
    parked = {path: items for path, items in answers.items() if path.endswith("/v1/parked")}
    placeless = {path: [{k: v for k, v in one.items() if k != "id"} for one in items] for path, items in parked.items()}
    return answers | {path: sorted(items, key=itemgetter("body", "reason")) for path, items in placeless.items()}


@pytest.mark.servers
async def test_all_that_is_known_moves_to_postgresql_goes_on_there_and_comes_back(
    golden: Settings, target: Settings, tmp_path: Path
) -> None:
    moved = await move(target, url(golden), url(target), NOW)
    assert await state(target, tmp_path, "there") == moved
    async with opened(target, FakeClock(STILL)) as on:
        assert list(different(wherever(expectation("embedded")), wherever(await readout(on)))) == []

    clock = FakeClock(NOW)
    active = active_accounts(expectation("embedded"))
    async with opened(target, clock) as on:
        after = After(on, clock)
        counted = {name: (await after.account(name))["metrics"]["core_events_28d"] for name in active}
        await after.post(uses(active, NOW))
        assert {name: (await after.account(name))["metrics"]["core_events_28d"] for name in active} == {
            name: number + 1 for name, number in counted.items()
        }
        parked = {service: set(await after.parked(service)) for service in SERVICES}
        last = await readout(on)

    home = settings(tmp_path / "home", ROOT / "config")
    back = await move(target, url(target), url(home), NOW)
    assert await state(home, tmp_path, "home") == back
    assert back["lifecycle_account"] != moved["lifecycle_account"], "it went on, so this is not the state of before"
    async with opened(home, FakeClock(STILL)) as on:
        assert list(different(wherever(last), wherever(await readout(on)))) == []
        assert {service: len(await After(on, clock).parked(service)) for service in SERVICES} == {
            service: len(found) for service, found in parked.items()
        }
    async with opened(home, clock) as on:
        after = After(on, clock)
        await after.post(uses(active, NOW + timedelta(days=1)))
        assert {name: (await after.account(name))["metrics"]["core_events_28d"] for name in active} == {
            name: number + 2 for name, number in counted.items()
        }


@pytest.mark.servers
async def test_what_is_in_use_or_not_read_is_not_moved(golden: Settings, target: Settings, tmp_path: Path) -> None:
    home = settings(tmp_path / "home", ROOT / "config")
    async with opened(golden, FakeClock(STILL)):
        with pytest.raises(Refused, match="another Waymark uses"):
            await move(target, url(golden), url(target), NOW)
    await move(target, url(golden), url(target), NOW)
    one_back = "UPDATE consumer_cursor SET next_sequence = next_sequence - 1 WHERE next_sequence > 0"
    await asyncio.to_thread(execute, url(target), "lifecycle", one_back)
    with pytest.raises(Refused, match=r"lifecycle has not read all of usage\.v1"):
        await move(target, url(target), url(home), NOW)
    async with opened(target, FakeClock(STILL)):
        with pytest.raises(Refused, match="Waymark runs on that database"):
            await move(target, url(target), url(home), NOW)
    other_log = target.model_copy(update={"topic_prefix": f"{target.topic_prefix}again."})
    again = await backup(golden, tmp_path / "again", NOW)
    with pytest.raises(Refused, match="holds data"):
        await restore(other_log, again, NOW, replace=False)


def test_every_table_of_the_log_has_its_place_in_the_other_deployment() -> None:
    """A table that is new in the log's metadata must be dealt with here: services' own tables are carried by themselves."""
    assert set(bus_metadata.tables) == {
        "log_end",
        "log_block",
        "consumer_cursor",
        "dead_letter",
        "stored_layout",
        "relay_lease",
    }
    own = [history for history in histories_of(OWNERS) if history.name != "bus"]
    names = [name for history in own for name in history.metadata.tables]
    assert len(names) == len(set(names)), "one SQLite file holds the tables of all services"
    for history in own:
        for table in history.metadata.tables.values():
            assert "partition" not in table.c or "id" in table.c, f"{table.name}: of which account is its partition?"


async def test_every_table_is_carried(golden: Settings, tmp_path: Path) -> None:
    moved = conversion.digests
    file = await backup(golden, tmp_path / "b", NOW)
    home = settings(tmp_path / "home", ROOT / "config")
    await restore(home, file, NOW, replace=False)
    again = await backup(home, tmp_path / "c", NOW)
    with BackupFile(again) as found:
        contents = await asyncio.to_thread(conversion.to_scaled, found, PARTITIONS)
        carried = {(table.schema, table.name) for table in contents}
        assert moved(found).keys() >= {name for schema, name in carried if name not in bus_metadata.tables}
    every = {(h.schema, name) for h in histories_of(OWNERS) for name in h.metadata.tables}
    assert every - carried == {(service, "relay_lease") for service in OWNERS}


async def test_the_groups_that_read_each_topic_are_those_that_are_wired(tmp_path: Path) -> None:
    async with assembled(settings(tmp_path / "data", ROOT / "config"), list(WIRES), SystemClock()) as assembly:
        consumers = [consumer for service in assembly.services.values() for consumer in service.consumers]
        read = {topic.name: {c.group for c in consumers if topic.name in c.topics} for topic in TOPICS}

    assert read == {topic: set(groups) for topic, groups in conversion.READERS.items()}
