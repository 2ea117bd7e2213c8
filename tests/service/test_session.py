"""Session: rows are asked for by their keys, however many, whatever stands in them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, create_engine, select

from shared.db.protocol import Database
from tests.conftest import embedded
from tests.make import migrated_storage

METADATA = MetaData()
NAMED = Table("session_named", METADATA, Column("key", Text, primary_key=True))
NUMBERED = Table("session_numbered", METADATA, Column("key", Integer, primary_key=True))
HASHED = Table("session_hashed", METADATA, Column("key", LargeBinary, primary_key=True))
ODD = ["", " ", "'", '"', "\\", "\\u0000", "null", "7", "Ä", "\x01", "\N{SNOWMAN}", "\N{GRINNING FACE}"]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    settings = embedded(tmp_path)
    async with migrated_storage(settings) as opened:
        engine = create_engine(settings.database)
        METADATA.create_all(engine)
        engine.dispose()
        yield opened.database


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        (NAMED, [f"acct{number:05}" for number in range(2_000)]),
        (NAMED, ODD),
        (NUMBERED, list(range(2_000))),
        (HASHED, [number.to_bytes(16, "big") for number in range(2_000)]),
    ],
    ids=["names", "odd names", "numbers", "hashes"],
)
async def test_the_rows_of_keys_are_found_in_order_and_no_others(
    database: Database, table: Table, keys: list[Any]
) -> None:
    async with database.transaction() as tx:
        await tx.insert(table, [{"key": key} for key in keys])
    asked = {*keys[: len(keys) // 2], *keys[-1:]}
    async with database.snapshot() as read:
        found = [row.key for row in await read.among(select(table), table.c.key, asked)]
    assert found == sorted(asked)


async def test_no_keys_have_no_rows(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.insert(NAMED, [{"key": "acme"}])
    async with database.snapshot() as read:
        assert await read.among(select(NAMED), NAMED.c.key, []) == []


async def test_a_text_that_goes_on_after_a_nul_is_another_one(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.insert(NAMED, [{"key": "acme"}])
    async with database.snapshot() as read:
        assert await read.among(select(NAMED), NAMED.c.key, ["acme\0", "acme\0globex"]) == []
