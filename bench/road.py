"""Rows `road-*`: the rate that the whole way carries without falling behind, and the age of an event at its commit."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from statistics import median

import asyncpg

from bench.commits import committed
from bench.cpu import peak, spent
from bench.deployments import Deployed, Deployment
from bench.end_state import demand
from bench.errors import InvalidResult
from bench.load_control import Order, Posted, prepared
from bench.plan import ROAD_ACCOUNTS, SIZE, Plan, warm
from bench.progress import Mark, Watch, between, watch
from bench.rounds import Figures
from bench.servers import dsn
from bench.session import Session
from bench.statistics import percentile
from bench.transition_reader import watching
from shared.settings import Settings

STEPS = (1.1, 1.0, 0.9, 0.8, 0.7, 0.62, 0.55, 0.48, 0.4, 0.25)
"""Shares of the burst rate that may be offered, the largest first."""
_OLDEST = 1.0
"""Seconds: of a hundred events at most one may be older when it is committed."""
_GROWTH = 0.25
_LATE = 1.05
_START = 0.15
_THIRD = 3


def kept_up(ages: Sequence[float], planned: float, took: float) -> bool:
    """`ages` in seconds, in the order of posting; posting was planned to take so long and took so long."""
    third = max(1, len(ages) // _THIRD)
    grew = median(ages[-third:]) - median(ages[:third])
    return percentile(ages, 0.99) <= _OLDEST and grew <= _GROWTH and took <= planned * _LATE + _START


_QUESTIONS = {
    "accounts": ("lifecycle", "SELECT count(*) FROM lifecycle_account"),
    "transitions": ("lifecycle", "SELECT count(*) FROM lifecycle_decision WHERE kind = 'stage_changed'"),
    "archived": ("ingest", "SELECT coalesce(sum(next_offset), 0) FROM log_end WHERE topic = 'usage.v1'"),
    "parked": ("ingest", "SELECT count(*) FROM dead_letter"),
}


async def check(settings: Settings, events: int, accounts: int) -> None:
    """Every event archived once, none parked, each account there with its one transition. Raises InvalidResult."""
    found = _in_the_file(settings) if settings.embedded else await _on_postgresql(settings)
    demand(found, {"accounts": accounts, "transitions": accounts, "archived": events, "parked": 0})


def _in_the_file(settings: Settings) -> dict[str, int]:
    with closing(sqlite3.connect(f"file:{settings.data / 'waymark.db'}?mode=ro", uri=True)) as file:
        return {name: int(file.execute(sql).fetchone()[0]) for name, (_, sql) in _QUESTIONS.items()}


async def _on_postgresql(settings: Settings) -> dict[str, int]:
    connection = await asyncpg.connect(dsn(settings.database))
    try:
        found = {}
        for name, (schema, sql) in _QUESTIONS.items():
            await connection.execute(f"SET search_path TO {schema}")
            found[name] = int(await connection.fetchval(sql))
        return found
    finally:
        await connection.close()


_PATIENCE = 90.0
_HALF = 0.5
_SHARED = ("postgresql",)


class Road:
    """One deployment under load, and what it must hold by now."""

    def __init__(self, deployment: Deployment, plan: Plan, look: Watch) -> None:
        self._on = deployment
        self._plan = plan
        self._look = look
        self._events = 0
        self._accounts = ROAD_ACCOUNTS

    async def warmed(self) -> None:
        """Every account makes itself known, before any clock."""
        await self._posted(self._order("warm", ROAD_ACCOUNTS, each_once=True))

    async def burst(self) -> float:
        """Events a second, as fast as answers come, once the first are through: from here the search for what can be kept up begins."""
        order = self._order("burst", self._plan.road_events)
        begun = asyncio.create_task(self._look.until(self._events + warm(order.events), _PATIENCE))
        _, done = await self._posted(order)
        first = await begun
        return (done.handled - first.handled) / (done.at - first.at)

    async def offered(self, rate: float) -> tuple[Figures, bool]:
        """What comes of offering so much, and whether it was kept up."""
        order = self._paced(f"offer{self._events}", rate, self._plan.offered)
        before = await self._look.mark()
        async with committed(self._on.settings, order) as seen:
            posted, done = await self._posted(order)
            await seen.all(_PATIENCE)
        ages = [seen.at[batch] - posted.answered[batch] for batch in sorted(posted.answered)]
        figures = between(Mark(posted.begun, before.handled, before.spent), done)
        aged = {"age p50 ms": percentile(ages, 0.5) * 1000, "age p99 ms": percentile(ages, 0.99) * 1000}
        return figures | aged, kept_up(ages, order.events / rate, posted.ended - posted.begun)

    async def calm(self, rate: float) -> Figures:
        """How long from the answer to a transition in a reader's hand."""
        order = self._paced("calm", rate, self._plan.calm)
        async with watching(self._on.settings) as seen:
            posted, _ = await self._posted(order)
            waits = [await seen.moment(str(order.newcomer(batch))) - at for batch, at in posted.answered.items()]
        return {"transition p50 ms": percentile(waits, 0.5) * 1000, "transition p99 ms": percentile(waits, 0.99) * 1000}

    async def verified(self) -> None:
        """Raises InvalidResult unless every event is archived once, and every account there with its one transition."""
        await check(self._on.settings, self._events, self._accounts)

    def memory(self) -> Figures:
        """The most that each process had; PostgreSQL's share their memory, which would be counted many times."""
        return {f"peak MiB {name}": peak(pids()) for name, pids in self._on.processes.items() if name not in _SHARED}

    async def _posted(self, order: Order) -> tuple[Posted, Mark]:
        async with prepared(order) as go:
            posted = await go()
        self._events += order.events
        self._accounts += order.events // SIZE if order.newcomers else 0
        if posted.accepted != order.events:
            raise InvalidResult(f"{posted.accepted} of {order.events} events were accepted")
        return posted, await self._look.until(self._events, _PATIENCE)

    def _paced(self, name: str, rate: float, seconds: float) -> Order:
        batches = max(3, int(rate * seconds) // SIZE)
        return self._order(name, batches * SIZE, rate=rate, newcomers=self._accounts)

    def _order(self, name: str, events: int, **more: float) -> Order:
        return Order(self._on.intake, self._on.key, name, events, **more)  # type: ignore[arg-type]


async def carried(deployed: Deployed, session: Session, _: int) -> Figures:
    """One round: a burst, then shares of its rate until one is kept up, then half of that."""
    async with deployed(session) as on, watch(on.lifecycle, lambda: spent(on.processes)) as look:
        road = Road(on, session.plan, look)
        await road.warmed()
        burst = await road.burst()
        figures = await _kept(road, burst)
        figures |= await road.calm(figures["events/s"] * _HALF)
        await road.verified()
        return {**figures, "burst/s": burst, **road.memory()}


async def _kept(road: Road, burst: float) -> Figures:
    """The highest share of the burst that is kept up, by halves: whoever keeps one up keeps up those below."""
    best, first, last = None, 0, len(STEPS)
    while first < last:
        middle = (first + last) // 2
        figures, kept = await road.offered(burst * STEPS[middle])
        if kept:
            best, last = figures, middle
        else:
            first = middle + 1
    if best is None:
        raise InvalidResult(f"not even {STEPS[-1]:.0%} of {burst:,.0f} events/s was kept up")
    return best
