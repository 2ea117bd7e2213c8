"""What is measured of a running deployment? Its rate with processor time, then how long a transition takes at a calm load."""

import asyncio
from collections.abc import Sequence

from bench.endstate import verify
from bench.failure import Wrong
from bench.loading import prepared
from bench.order import Order
from bench.plan import ACCOUNTS, SIZE, Plan
from bench.reader import Seen, watching
from bench.running import Running

Figures = dict[str, float]
_PATIENCE = 90.0
_QUARTER = 4


async def measured(running: Running, plan: Plan) -> Figures:
    """One round: every account is made, events come at full speed, then at a quarter of the rate that was reached."""
    await _warmed(running)
    figures = await _rate(running, plan.events)
    await verify(running.settings, ACCOUNTS + plan.events, ACCOUNTS)
    return figures | await _calm(running, figures["events/s"] / _QUARTER, plan)


async def _warmed(running: Running) -> None:
    async with prepared(Order(running.intake, running.key, "warm", ACCOUNTS, each_once=True)) as go:
        await go()
    await running.handled(ACCOUNTS, _PATIENCE)


async def _rate(running: Running, events: int) -> Figures:
    async with prepared(Order(running.intake, running.key, "fast", events)) as go:
        before, posting = running.cpu(), asyncio.create_task(go())
        try:
            done = await running.handled(ACCOUNTS + events, _PATIENCE)
        finally:
            posting.cancel()
        posted, after = await posting, running.cpu()
    cpu = {f"cpu us/event {name}": (after[name] - before[name]) / events * 1e6 for name in after}
    return {"events/s": events / (done - posted.begun), "intake/s": events / (posted.ended - posted.begun), **cpu}


async def _calm(running: Running, rate: float, plan: Plan) -> Figures:
    batches = max(1, int(rate * plan.calm) // SIZE)
    order = Order(running.intake, running.key, "calm", batches * SIZE, rate, newcomers=True)
    async with prepared(order) as go, watching(running.settings) as seen:
        posted = await go()
        await running.handled(ACCOUNTS + plan.events + order.events, _PATIENCE)
        await _all_seen(seen, batches)
    await verify(running.settings, ACCOUNTS + plan.events + order.events, ACCOUNTS + batches)
    waits = sorted(seen[name] - answered for name, answered in posted.answered.items())
    return {"transition p50 ms": _at(waits, 0.5) * 1000, "transition p99 ms": _at(waits, 0.99) * 1000}


async def _all_seen(seen: Seen, expected: int) -> None:
    for _ in range(500):
        if len(seen) >= expected:
            return
        await asyncio.sleep(0.02)
    raise Wrong(f"a reader of lifecycle.v1 saw {len(seen)} of {expected} transitions")


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
