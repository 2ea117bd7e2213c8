"""Saved counts: the counts of all processes together, over their restarts, bounded, and lost with no failed write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from services.lifecycle.place_counts import UNREADABLE, UNTRUSTED, Place
from services.lifecycle.tables import passed_over
from shared.db.protocol import Database, Tx
from shared.service.saved_counts import MAX_KEYS, Count, LatestCounts, SavedCounts
from tests.conftest import Deployment
from tests.make import NOON, migrated_storage

SEATS = Place("web", "$group", "seats")
SCORE = Place("web", "nps_answered", "score")
MANY = Place("(other)", "(other)", "(other)")


class Away:
    """A database that takes no transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.snapshot = database.snapshot
        self.check_writable, self.server_time, self.close = (
            database.check_writable,
            database.server_time,
            database.close,
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """Begins well, and cannot commit."""
        async with self._database.transaction() as tx:
            yield tx
            raise ConnectionError("away")


@pytest.fixture
async def database(deployment: Deployment) -> AsyncIterator[Database]:
    async with migrated_storage(deployment.settings, "lifecycle") as opened:
        yield opened.database


class Process:
    """What one process counts, and how it saves and lists it."""

    def __init__(self, database: Database) -> None:
        self.counts = LatestCounts[Place, str](MANY)
        self.saved = SavedCounts(database, passed_over, UNREADABLE, self.counts)


async def test_counts_of_two_processes_add_up_and_outlive_them(database: Database) -> None:
    one, other = Process(database), Process(database)
    for latest in ("a dozen", "ten or so"):
        one.counts.add(SEATS, latest)
    other.counts.add(SEATS, "many")
    other.counts.add(SCORE, "eleven")
    await one.saved.save(NOON)
    await other.saved.save(NOON)
    await one.saved.save(NOON)  # nothing new

    assert await Process(database).saved.listed() == [Count(SEATS, 3, "many"), Count(SCORE, 1, "eleven")]


async def test_what_is_not_saved_yet_is_listed_too(database: Database) -> None:
    process = Process(database)
    process.counts.add(SEATS, "a dozen")
    await process.saved.save(NOON)
    process.counts.add(SEATS, "many")

    assert await process.saved.listed() == [Count(SEATS, 2, "many")]
    assert await SavedCounts(database, passed_over, UNTRUSTED, LatestCounts[Place, str](MANY)).listed() == []


async def test_what_could_not_be_saved_is_saved_later(database: Database) -> None:
    process = Process(database)
    process.counts.add(SEATS, "a dozen")
    with pytest.raises(ConnectionError):
        await SavedCounts(Away(database), passed_over, UNREADABLE, process.counts).save(NOON)
    process.counts.add(SEATS, "many")
    await process.saved.save(NOON)

    assert await Process(database).saved.listed() == [Count(SEATS, 2, "many")]


async def test_only_the_places_met_last_are_kept(database: Database) -> None:
    for day in range(4):
        process = Process(database)
        for number in range(MAX_KEYS):
            process.counts.add(Place("web", f"{day}", f"{number}"), "x")
        await process.saved.save(NOON + timedelta(days=day))

    listed = await Process(database).saved.listed()
    assert {count.key.event for count in listed} == {"2", "3"}
    assert len(listed) == 2 * MAX_KEYS


def test_counts_given_back_are_taken_with_the_later_ones() -> None:
    counts = LatestCounts[str, int]("(other)")
    counts.add("a", 1)
    taken = counts.take_unsaved()
    counts.add("a", 2)
    counts.give_back(taken)

    assert counts.take_unsaved() == [Count("a", 2, 2)]
    assert counts.take_unsaved() == []
    assert counts.listed() == [Count("a", 2, 2)]
