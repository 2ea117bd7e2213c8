"""Account repository: what is saved is loaded, locked, created once, and found when it is due."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Boolean, Column, Integer, LargeBinary, MetaData, Table, Text, create_engine

from shared.db.accounts import AccountRepository
from shared.db.columns import Utc
from shared.db.layouts import Layouts
from shared.db.protocol import Database, Values
from tests.conftest import embedded
from tests.make import migrated_storage

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
TABLE = Table(
    "repository_account",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("next_due", Utc),
    Column("replaying", Boolean, nullable=False),
    Column("state", LargeBinary, nullable=False),
)


class Account(msgspec.Struct, array_like=True):
    id: str
    due: datetime | None = None
    replaying: bool = False


def columns(account: Account) -> Values:
    return {"next_due": account.due, "replaying": account.replaying}


ACCOUNTS = AccountRepository(TABLE, Layouts(Account, 1), columns, Account, len)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    settings = embedded(tmp_path)
    async with migrated_storage(settings) as opened:
        engine = create_engine(settings.database)
        TABLE.metadata.create_all(engine)
        engine.dispose()
        yield opened.database


async def test_a_saved_account_is_loaded_as_it_was_and_an_unknown_one_is_none(database: Database) -> None:
    async with database.transaction() as tx:
        await ACCOUNTS.save(tx, [Account("acme", AT)])
    async with database.snapshot() as read:
        assert await ACCOUNTS.load(read, "acme") == Account("acme", AT)
        assert await ACCOUNTS.load(read, "globex") is None


async def test_unknown_accounts_are_created_once_and_known_ones_keep_their_state(database: Database) -> None:
    async with database.transaction() as tx:
        await ACCOUNTS.save(tx, [Account("acme", AT)])
    for _ in range(2):
        async with database.transaction() as tx:
            found = await ACCOUNTS.load_or_create_for_update(tx, ["globex", "acme"])
            assert found == {"acme": Account("acme", AT), "globex": Account("globex")}


async def test_only_known_accounts_are_loaded_for_update(database: Database) -> None:
    async with database.transaction() as tx:
        await ACCOUNTS.save(tx, [Account("acme", AT)])
        assert await ACCOUNTS.load_for_update(tx, ["acme", "globex"]) == {"acme": Account("acme", AT)}
        assert (await ACCOUNTS.lock(tx, ["acme"]))["acme"].partition == 4


async def test_due_are_those_of_the_partition_that_no_import_drives_the_longest_overdue_first(
    database: Database,
) -> None:
    late, later = AT - timedelta(days=2), AT + timedelta(days=1)
    accounts = [Account("acme", AT), Account("beta", late), Account("gone", later), Account("held", late, True)]
    async with database.transaction() as tx:
        await ACCOUNTS.save(tx, [*accounts, Account("other partition", late), Account("idle")])
    async with database.snapshot() as read:
        assert await ACCOUNTS.due(read, 4, AT, 10) == ["beta", "acme"]
        assert await ACCOUNTS.due(read, 4, AT, 1) == ["beta"]
