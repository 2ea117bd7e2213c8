"""Golden data moved from one process on SQLite to PostgreSQL and Kafka, and back: the same state, and it goes on."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from shared.bus.outbox import decode_block
from shared.bus.tables import metadata as bus_metadata
from shared.clock import SystemClock
from shared.contracts.topics import TOPICS
from shared.failures import Refused
from shared.settings import Settings
from tests.conftest import ROOT, scaled
from tests.contract.house.databases import execute
from tests.golden.comparison import different
from tests.golden.readout import readout
from tests.golden.release import SERVICES, config, database, expectation, migrated, opened
from tests.golden.scenario import MOMENT, settings
from tests.golden.test_golden import STILL, After, active_accounts, uses
from tests.make import FakeClock
from waymark.assembly import WIRES, assembled
from waymark.backup import conversion
from waymark.backup.commands import backup, move, restore
from waymark.backup.content import JOURNALS, Digest
from waymark.backup.file import BackupFile, describe, insert_rows, new_file
from waymark.migrations import OWNERS, Revisions, histories_of

NOW = MOMENT + timedelta(hours=1)
PARTITIONS = 3


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Another installation, on PostgreSQL and a Kafka without topics of its own, with the secret of the golden one."""
    of = scaled(request, tmp_path, empty=True)
    more = {"database_url": of.database_url, "bus_url": of.bus_url, "topic_prefix": of.topic_prefix}
    return settings(tmp_path / "elsewhere", config(tmp_path / "config"), **more, partitions=PARTITIONS)


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

    home = settings(tmp_path / "home", config(tmp_path / "config"))
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
    home = settings(tmp_path / "home", config(tmp_path / "config"))
    async with opened(golden, FakeClock(STILL)):
        with pytest.raises(Refused, match="another Waymark uses"):
            await move(target, url(golden), url(target), NOW)
    await move(target, url(golden), url(target), NOW)
    for statement, said in (
        (
            "INSERT INTO log_end VALUES ('lifecycle.v1', 0, 5, 5)",
            r"notify has not read all of lifecycle\.v1\[0\]: 0 of 5",
        ),
        ("DELETE FROM log_end WHERE topic = 'lifecycle.v1'", ""),
    ):
        await asyncio.to_thread(execute, url(target), "lifecycle", statement)
        if said:
            with pytest.raises(Refused, match=said):
                await move(target, url(target), url(home), NOW)
    async with opened(target, FakeClock(STILL)):
        with pytest.raises(Refused, match="Waymark runs on that database"):
            await move(target, url(target), url(home), NOW)
    other_log = target.model_copy(update={"topic_prefix": f"{target.topic_prefix}again."})
    again = await backup(golden, tmp_path / "again", NOW)
    with pytest.raises(Refused, match="holds data"):
        await restore(other_log, again, NOW, replace=False)


COUNTED_ANYWHERE = {"ingest_import_mark"}
"""Tables whose rows mean the same in whatever partition they were written."""


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
            of_account = "partition" not in table.c or "id" in table.c
            placeless = table.name.endswith(JOURNALS) or table.name in COUNTED_ANYWHERE
            assert of_account or placeless, f"{table.name}: of which account is its partition?"


async def test_every_table_is_carried(golden: Settings, tmp_path: Path) -> None:
    moved = conversion.digests
    file = await backup(golden, tmp_path / "b", NOW)
    home = settings(tmp_path / "home", config(tmp_path / "config"))
    await restore(home, file, NOW, replace=False)
    again = await backup(home, tmp_path / "c", NOW)
    with BackupFile(again) as found:
        contents = await asyncio.to_thread(conversion.to_scaled, found, PARTITIONS)
        carried = {(table.schema, table.name) for table in contents}
        begun_anew = {name for _, name in carried if name in bus_metadata.tables or name.endswith(JOURNALS)}
        assert moved(found).keys() >= {name for _, name in carried} - begun_anew
    every = {(h.schema, name) for h in histories_of(OWNERS) for name in h.metadata.tables}
    assert every - carried == {(service, "relay_lease") for service in OWNERS}


async def test_the_groups_that_read_each_topic_are_those_that_are_wired(tmp_path: Path) -> None:
    async with assembled(settings(tmp_path / "data", ROOT / "config"), list(WIRES), SystemClock()) as assembly:
        consumers = [consumer for service in assembly.services.values() for consumer in service.consumers]
        read = {topic.name: {c.group for c in consumers if topic.name in c.topics} for topic in TOPICS}

    assert read == {topic: set(groups) for topic, groups in conversion.READERS.items()}


def unread(found: BackupFile) -> dict[tuple[str, str], Counter[tuple[bytes, bytes]]]:
    """What each group has still to read of each topic, however the log is dealt: key and value of each record."""
    tables = [one for one in found.tables() if one.name in {"log_block", "consumer_cursor"}]
    rows = {
        name: [row for one in tables if one.name == name for row in found.rows(one)]
        for name in ("log_block", "consumer_cursor")
    }
    by_sequence = found.description.kind == "postgresql"
    left: dict[tuple[str, str], Counter[tuple[bytes, bytes]]] = {}
    for cursor in rows["consumer_cursor"]:
        key = str(cursor["consumer_group"]), str(cursor["topic"])
        place, read = (cursor["topic"], cursor["partition"]), cursor["next_sequence" if by_sequence else "next_offset"]
        of_place = [row for row in rows["log_block"] if (row["topic"], row["partition"]) == place]
        records = [
            record
            for row in of_place
            for offset, record in enumerate(decode_block(bytes(row["block"])), int(row["base_offset"]))  # type: ignore[arg-type]
            if offset >= int(read)  # type: ignore[arg-type]
        ]
        left.setdefault(key, Counter()).update((record.key, record.value) for record in records)
    return left


def written(contents: conversion.Contents, file: Path) -> Path:
    """The contents as a backup of PostgreSQL."""
    heads = {
        (history.schema, f"{history.name}_version"): Revisions.of(history).head for history in histories_of(OWNERS)
    }
    with new_file(file) as partial:
        with closing(sqlite3.connect(partial)) as made, made:
            for (schema, name, columns), rows in contents.items():
                listed = ", ".join(f'"{column}"' for column in columns)
                made.execute(f'CREATE TABLE "{schema}.{name}" ({listed})')
                insert_rows(made, f"{schema}.{name}", columns, rows)
            for (schema, name), head in heads.items():
                made.execute(f'CREATE TABLE "{schema}.{name}" (version_num)')
                made.execute(f'INSERT INTO "{schema}.{name}" VALUES (?)', [head])
        describe(partial, "postgresql", NOW)
    return file


async def test_what_nobody_or_only_some_have_read_is_carried_both_ways(golden: Settings, tmp_path: Path) -> None:
    await migrated(golden)
    back = "UPDATE consumer_cursor SET next_offset = next_offset - {} WHERE consumer_group = '{}' AND topic = '{}'"
    with closing(sqlite3.connect(database(golden))) as write:
        for steps, group, topic in (
            (37, "lifecycle", "usage.v1"),
            (11, "notify", "lifecycle.v1"),
            (5, "ingest", "usage.raw.v1"),
        ):
            write.execute(back.format(steps, group, topic))
        write.commit()
    with BackupFile(await backup(golden, tmp_path / "here", NOW)) as here:
        wanted, state_here = unread(here), conversion.digests(here)
        there_file = written(conversion.to_scaled(here, PARTITIONS), tmp_path / "there")
    with BackupFile(there_file) as there:
        assert unread(there) == wanted
        assert conversion.digests(there) == state_here
        home = settings(tmp_path / "home", config(tmp_path / "config"))
        await restore(home, there_file, NOW, replace=False)
    with BackupFile(await backup(home, tmp_path / "home.backup", NOW)) as again:
        assert unread(again) == wanted
        assert conversion.digests(again) == state_here
    assert {key: left.total() for key, left in wanted.items() if left.total() in {37, 11, 5}} == {
        ("lifecycle", "usage.v1"): 37,
        ("notify", "lifecycle.v1"): 11,
        ("ingest", "usage.raw.v1"): 5,
    }
