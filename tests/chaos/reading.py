"""What did the witnesses see, and what does the archive hold? Read piece by piece: a long run has much of both."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from shared.bus.blocks import decode_block
from shared.contracts.usage import UsageEvent
from tests.chaos.world import World

_usage = msgspec.json.Decoder(UsageEvent).decode


async def seen(world: World, service: str, *what: str) -> AsyncIterator[tuple[int, str, list[Any]]]:
    """What the witness of a service noted, in order: transaction, what, and the columns."""
    names = ", ".join(f"'{name}'" for name in what)
    last, rows = 0, list[Any]()
    while rows or not last:
        rows = list(
            await world.books.rows(
                service,
                f"SELECT seen_id, tx, what, body FROM chaos_seen WHERE seen_id > {last} AND what IN ({names}) "
                "ORDER BY seen_id LIMIT 20000",
            )
        )
        for row in rows:
            yield row["tx"], row["what"], json.loads(row["body"])
        last = rows[-1]["seen_id"] if rows else last or 1


async def archive(world: World) -> AsyncIterator[tuple[int, int, UsageEvent]]:
    """Every archived event: partition, place, event."""
    places = await world.books.rows(
        "ingest",
        "SELECT partition, base_offset FROM log_block WHERE topic = 'usage.v1' ORDER BY partition, base_offset",
    )
    for place in places:
        where = f"topic = 'usage.v1' AND partition = {place['partition']} AND base_offset = {place['base_offset']}"
        [row] = await world.books.rows("ingest", f"SELECT block FROM log_block WHERE {where}")
        for offset, record in enumerate(decode_block(row["block"]), place["base_offset"]):
            yield place["partition"], offset, _usage(record.value)
