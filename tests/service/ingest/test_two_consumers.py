"""Two processes at once: one parks a user's event while the other learns the user's account; no event is left behind."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from services.ingest.core.canonical import canonical_event
from services.ingest.handlers import Handlers
from shared.bus.protocol import Record
from shared.bus.tables import dead_letter, log_end
from shared.contracts.topics import USAGE, USAGE_RAW
from shared.service.processor import MessageBatch
from shared.storage import Storage
from tests.conftest import scaled
from tests.make import NOON, FakeClock, group, migrated_storage, track

TRACK = track("x", messageId="track")
GROUP = group("acme", messageId="group")


def arriving(part: int, event: dict[str, Any]) -> MessageBatch:
    record = Record(0, 0, int(NOON.timestamp() * 1000), b"", msgspec.json.encode(event), b"")
    return MessageBatch(USAGE_RAW, part, 0, [canonical_event(record)])


async def take(opened: Storage, batch: MessageBatch) -> None:
    async with opened.database.transaction() as tx:
        await Handlers(FakeClock()).raw_events(tx, batch)


@pytest.mark.servers
@pytest.mark.parametrize("known_before", [False, True])
@pytest.mark.parametrize("events", [(TRACK, GROUP), (GROUP, TRACK)])
async def test_no_event_is_left_waiting_for_what_is_known(
    request: pytest.FixtureRequest, tmp_path: Path, events: tuple[dict[str, Any], dict[str, Any]], *, known_before: bool
) -> None:
    first, second = events
    async with migrated_storage(scaled(request, tmp_path)) as opened:
        if known_before:
            await take(opened, arriving(2, TRACK | {"messageId": "earlier"}))
        async with opened.database.transaction() as tx:
            await Handlers(FakeClock()).raw_events(tx, arriving(0, first))
            other = asyncio.create_task(take(opened, arriving(1, second)))
            assert not (await asyncio.wait({other}, timeout=0.5))[0]
        await other
        async with opened.database.snapshot() as read:
            waiting = await read.scalar(select(func.count()).where(dead_letter.c.redriven_at.is_(None)))
            published = await read.scalar(select(func.sum(log_end.c.next_offset)).where(log_end.c.topic == USAGE.name))
    assert (waiting, int(published)) == (0, 2 + known_before)
