"""Idle detection: waits until nothing waits and nothing is due anywhere, for `waymark demo` and the journey tests."""

import asyncio
from collections.abc import Callable

from sqlalchemy import select

from shared.bus.tables import log_end
from shared.failures import Halted
from shared.service.consumer import Consumer
from shared.service.context import Service, ServiceContext
from waymark import migrations
from waymark.assembly import Assembly

_IDLE_CHECKS = 2


async def wait_until_idle(
    assembly: Assembly, seconds: float, on_progress: Callable[[int], None] = lambda _left: None
) -> None:
    """Wait until no message waits and no account is due anywhere, seen twice in a row.

    What is due is looked at now rather than when the timers look again. Raises TimeoutError; Halted when a consumer stopped.
    """
    idle = 0
    async with asyncio.timeout(seconds):
        while idle < _IDLE_CHECKS:
            lag, due = await total_lag(assembly), await total_due(assembly)
            on_progress(lag + due)
            idle = idle + 1 if not lag and not due else 0
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


async def total_due(assembly: Assembly) -> int:
    """The number of accounts for which time has something to do now; none while a clock that cannot be right holds all timers."""
    return sum([await _due(service, assembly.contexts[name]) for name, service in assembly.services.items()])


async def _due(service: Service, context: ServiceContext) -> int:
    if service.due is None or (context.clock_watch is not None and await context.clock_watch.problem()):
        return 0
    async with context.database.snapshot() as read:
        due = await service.due.how_many(read, context.clock.now())
    if due:
        service.due.wake.set()
    return due


async def _consumer_lag(context: ServiceContext, consumer: Consumer) -> int:
    bounds, claims = await context.bus.bounds(list(consumer.topics)), consumer.ownership.claims()
    return sum(bound.end - (claims[tp].next_offset if tp in claims else bound.begin) for tp, bound in bounds.items())


async def _relay_lag(context: ServiceContext) -> int:
    if context.settings.embedded:
        return 0
    async with context.database.snapshot() as read:
        rows = await read.all(select(log_end.c.next_offset, log_end.c.relayed_offset))
    return sum(row.next_offset - row.relayed_offset for row in rows)
