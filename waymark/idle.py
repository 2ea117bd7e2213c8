"""Idle detection: waits until every accepted message is handled everywhere, for `waymark demo` and the journey tests."""

import asyncio
from collections.abc import Callable

from sqlalchemy import select

from shared.bus.tables import log_end
from shared.failures import Halted
from shared.service.consumer import Consumer
from shared.service.context import ServiceContext
from waymark import migrations
from waymark.assembly import Assembly

_IDLE_CHECKS = 2


async def wait_until_idle(
    assembly: Assembly, seconds: float, on_progress: Callable[[int], None] = lambda _lag: None
) -> None:
    """Wait until no message waits anywhere, seen twice in a row. Raises TimeoutError; Halted when a consumer stopped."""
    idle = 0
    async with asyncio.timeout(seconds):
        while idle < _IDLE_CHECKS:
            lag = await total_lag(assembly)
            on_progress(lag)
            idle = idle + 1 if lag == 0 else 0
            await asyncio.sleep(0.05)


async def total_lag(assembly: Assembly) -> int:
    """The number of messages that wait: in the logs for their consumers, and in the outboxes for their relays."""
    for loop in assembly.loops:
        if loop.state == "halted":
            raise Halted(loop.problem)
    lag = 0
    for name, service in assembly.services.items():
        context = assembly.contexts[name]
        lag += sum([await _consumer_lag(context, consumer) for consumer in service.consumers])
        lag += await _relay_lag(context) if name in migrations.OWNERS else 0
    return lag


async def _consumer_lag(context: ServiceContext, consumer: Consumer) -> int:
    bounds, claims = await context.bus.bounds(list(consumer.topics)), consumer.ownership.claims()
    return sum(bound.end - (claims[tp].next_offset if tp in claims else bound.begin) for tp, bound in bounds.items())


async def _relay_lag(context: ServiceContext) -> int:
    if context.settings.embedded:
        return 0
    async with context.database.snapshot() as read:
        rows = await read.all(select(log_end.c.next_offset, log_end.c.relayed_offset))
    return sum(row.next_offset - row.relayed_offset for row in rows)
