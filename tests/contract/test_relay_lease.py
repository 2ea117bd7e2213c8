"""Relay lease: when a relay stops another one continues at once, since the lease is given back."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from shared.bus.tables import relay_lease
from tests.conftest import scaled
from tests.make import NOON, FakeClock, eventually, migrated_storage
from waymark import migrations
from waymark.assembly import assembled

pytestmark = pytest.mark.servers


async def test_a_relay_that_stops_gives_its_lease_back(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = scaled(request, tmp_path)
    await asyncio.to_thread(migrations.migrate, settings, ["ingest"])
    until = select(relay_lease.c.expires_at).where(relay_lease.c.service == "ingest")
    async with assembled(settings, ["ingest"], FakeClock()) as assembly:

        async def acquired() -> bool:
            async with assembly.contexts["ingest"].database.snapshot() as read:
                return bool((await read.scalar(until) or NOON) > NOON)

        await eventually(acquired)
    async with migrated_storage(settings, owner="another") as opened, opened.database.snapshot() as read:
        assert await read.scalar(until) == NOON


async def test_a_lease_is_given_back_by_its_holder_only(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = scaled(request, tmp_path)
    async with migrated_storage(settings, owner="one") as one, migrated_storage(settings, owner="two") as two:
        assert one.relay
        assert two.relay
        await one.relay.relay_pending()
        await two.relay.release()
        await two.relay.relay_pending()
        async with two.database.snapshot() as read:
            assert await read.scalar(select(relay_lease.c.owner)) == "one"
        await one.relay.release()
        await two.relay.relay_pending()
        async with two.database.snapshot() as read:
            assert await read.scalar(select(relay_lease.c.owner)) == "two"
