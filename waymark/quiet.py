"""Has everything that was accepted arrived everywhere? What `waymark demo` and the journey tests wait for."""

import asyncio
from collections.abc import Callable

from sqlalchemy import select

from shared.bus.tables import log_end
from shared.failures import Halted
from shared.service.consumer import Consumer
from shared.service.context import ServiceContext
from waymark import migrations
from waymark.assembly import Assembly

_TWICE = 2


async def quiet(assembly: Assembly, seconds: float, progress: Callable[[int], None] = lambda _behind: None) -> None:
    """Wait until no message waits anywhere, seen twice in a row. Raises TimeoutError; Halted when a reader stopped."""
    calm = 0
    async with asyncio.timeout(seconds):
        while calm < _TWICE:
            waiting = await behind(assembly)
            progress(waiting)
            calm = calm + 1 if waiting == 0 else 0
            await asyncio.sleep(0.05)


async def behind(assembly: Assembly) -> int:
    """How many messages wait: in the logs for their readers, and in the outboxes for their relays."""
    for loop in assembly.loops:
        if loop.state == "halted":
            raise Halted(loop.problem)
    waiting = 0
    for name, service in assembly.services.items():
        context = assembly.contexts[name]
        waiting += sum([await _unread(context, consumer) for consumer in service.consumers])
        waiting += await _uncarried(context) if name in migrations.OWNERS else 0
    return waiting


async def _unread(context: ServiceContext, consumer: Consumer) -> int:
    bounds, held = await context.bus.bounds(list(consumer.topics)), consumer.ownership.claims()
    return sum(bound.end - (held[tp].next_offset if tp in held else bound.begin) for tp, bound in bounds.items())


async def _uncarried(context: ServiceContext) -> int:
    if context.settings.embedded:
        return 0
    async with context.database.snapshot() as read:
        rows = await read.all(select(log_end.c.next_off, log_end.c.carried_off))
    return sum(row.next_off - row.carried_off for row in rows)
