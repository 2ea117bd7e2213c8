"""Issued keys on both databases: created, rotated, revoked, and when each was last used."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.access import keys as issued
from shared.access.keys import IssuedKey, KeyRefresh, NewKey, WantedKey, looks_issued, normal_origin
from shared.access.tables import access_key
from shared.db.protocol import Database
from shared.failures import Refused
from shared.keys import SOURCE_KINDS, Key, Keys, Rates, digest
from tests.conftest import scaled
from tests.make import NOON, FakeClock, migrated_storage

SERVER = "a-server-key-of-the-settings"
OF_SETTINGS = Keys([("server", "backend", SERVER)])
WEEK = timedelta(days=7)
WEBSITE = WantedKey("browser", "website", ("https://app.example.com",), Rates(events_per_minute=60))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    from shared.settings import Settings  # noqa: PLC0415

    where = Settings(data=tmp_path) if request.param == "sqlite" else scaled(request, tmp_path)
    async with migrated_storage(where) as opened:
        yield opened.access


async def create(database: Database, wanted: WantedKey = WEBSITE) -> NewKey:
    async with database.transaction() as tx:
        return await issued.create(tx, wanted, OF_SETTINGS.of_settings, NOON, "ops")


async def rotate(database: Database, key: IssuedKey, after: timedelta = WEEK) -> NewKey:
    async with database.transaction() as tx:
        return await issued.rotate(tx, key.id, NOON + after, NOON, "ops")


async def revoke(database: Database, key: IssuedKey) -> None:
    async with database.transaction() as tx:
        await issued.revoke(tx, key.id, NOON)


async def accepted(database: Database, later: timedelta = timedelta(0)) -> dict[bytes, Key]:
    async with database.snapshot() as read:
        return await issued.live_keys(read, NOON + later)


async def test_a_created_key_is_accepted_and_nobody_finds_its_text_in_the_database(database: Database) -> None:
    made = await create(database)

    assert looks_issued(made.text)
    assert not looks_issued(made.text[:-1] + ("0" if made.text[-1] != "0" else "1"))
    assert await accepted(database) == {digest(made.text): Key("website", "browser", made.key.id, *WEBSITE[2:4])}
    async with database.snapshot() as read:
        rows = await read.all(access_key.select())
    assert made.text not in repr(rows)
    assert made.text.split("_", 3)[3] not in repr(rows)


async def test_a_rotated_key_and_its_successor_are_one_source_until_the_old_one_ends(database: Database) -> None:
    old = await create(database)
    new = await rotate(database, old.key)

    both = await accepted(database, WEEK - timedelta(seconds=1))
    assert set(both) == {digest(old.text), digest(new.text)}
    assert {key._replace(id="") for key in both.values()} == {Key("website", "browser", "", *WEBSITE[2:4])}
    assert set(await accepted(database, WEEK)) == {digest(new.text)}
    assert new.key.rotates == old.key.id


async def test_there_are_never_three_live_keys_of_a_name(database: Database) -> None:
    old = await create(database)
    new = await rotate(database, old.key)
    for key in (old.key, new.key):
        with pytest.raises(Refused, match="revoke one first"):
            await rotate(database, key)

    await revoke(database, old.key)
    newest = await rotate(database, new.key)

    assert set(await accepted(database)) == {digest(new.text), digest(newest.text)}


async def test_a_revoked_key_is_not_accepted_and_cannot_be_rotated(database: Database) -> None:
    made = await create(database)
    await revoke(database, made.key)
    await revoke(database, made.key)

    assert await accepted(database) == {}
    with pytest.raises(Refused, match="is revoked"):
        await rotate(database, made.key)
    again = await create(database)
    assert set(await accepted(database)) == {digest(again.text)}


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (WEBSITE, "a live key named website"),
        (WantedKey("server", "website"), "a source of another kind"),
        (WantedKey("browser", "backend"), "a source of another kind"),
        (WantedKey("server", "kafka"), "not 'kafka'"),
        (WantedKey("server", "a b"), "not 'a b'"),
        (WantedKey("server", "shop", ("https://a.example",)), "origins are for keys of kind browser"),
        (WantedKey("browser", "shop", ("app.example.com",)), "no origin"),
        (WantedKey("browser", "shop", valid_until=NOON), "is over"),
    ],
)
async def test_what_cannot_be_a_key_is_refused(database: Database, wanted: WantedKey, why: str) -> None:
    await create(database)
    with pytest.raises(Refused, match=why):
        await create(database, wanted)


async def test_a_key_without_a_name_is_named_after_its_kind(database: Database) -> None:
    names = [(await create(database, WantedKey(kind))).key.name for kind in ("browser", "browser", "server")]

    assert names == ["browser", "browser-2", "server"]


async def test_a_key_of_the_settings_is_changed_there(database: Database) -> None:
    [key] = OF_SETTINGS.of_settings
    async with database.transaction() as tx:
        with pytest.raises(Refused, match="WAYMARK_KEYS"):
            await issued.revoke(tx, key.id, NOON)


async def test_the_last_use_is_written_once_a_minute(database: Database) -> None:
    for seconds in (0, 59, 61):
        async with database.transaction() as tx:
            await issued.record_use(tx, {"a", "settings:server:backend"}, NOON + timedelta(seconds=seconds))
        async with database.snapshot() as read:
            uses = await issued.last_uses(read)
        assert uses == dict.fromkeys(uses, NOON + timedelta(seconds=61 if seconds > 60 else 0))
        assert set(uses) == {"a", "settings:server:backend"}


async def test_a_process_learns_of_a_key_that_is_shown_to_it_and_asks_no_more_than_once_a_second(
    database: Database,
) -> None:
    keys, asked = Keys([("server", "backend", SERVER)]), 0

    class Counted:
        def snapshot(self):
            nonlocal asked
            asked += 1
            return database.snapshot()

    refresh = KeyRefresh(keys, Counted(), FakeClock())  # type: ignore[arg-type]
    made = await create(database)
    now = asyncio.get_running_loop().time
    began = now()
    for _ in range(200):
        await refresh.refresh_for_unknown()

    found = keys.find(made.text, SOURCE_KINDS)
    assert found is not None
    assert found.id == made.key.id
    assert keys.is_live(made.key.id)
    assert asked <= 2 + (now() - began)


def test_origins_are_compared_as_browsers_write_them() -> None:
    key = Key("website", "browser", "id", tuple(map(normal_origin, ("https://App.example.com:443/", "https://*.b.io"))))

    assert [key.admits(origin) for origin in ("https://app.example.com", "https://x.b.io", "https://x.y.b.io")] == [
        True
    ] * 3
    refused = (
        "http://app.example.com",
        "https://b.io",
        "https://evilb.io",
        "https://x.b.io.evil.io",
        "https://x.b.io:8443",
        "http://x.b.io",
        "null",
    )
    assert [key.admits(origin) for origin in refused] == [False] * len(refused)
    assert Key("website", "browser").admits("https://anywhere.example")
