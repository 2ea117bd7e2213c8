"""What went out, what would, and what did not, and why? Reading the outbox, and letting things go."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Row

from services.notify.core.playbook import Playbook
from services.notify.core.reach import REACH
from services.notify.handlers import outbox
from services.notify.http.lists import Cursor, Filter, Limit, known, moment_and_id
from services.notify.http.models import STATUSES, DeliveryRow, DeliveryView, PlayWanted, Released
from services.notify.store import accounts, deliveries
from services.notify.store.deliveries import Wanted
from shared.failures import Refused
from shared.http.auth import allowed
from shared.http.paging import Page, cursor
from shared.service.context import ServiceContext

_History = Annotated[bool | None, Query(description="true: only what comes of imported history")]


def router(context: ServiceContext, book: Playbook, part_of: accounts.PartOf) -> APIRouter:
    """Reading takes a key of kind read, changing one of kind admin."""
    routes = APIRouter(prefix="/v1", tags=["outbox"], dependencies=[Depends(allowed(context.keys, "read"))])
    _reading(routes, context)
    _changing(routes, context, book, part_of)
    return routes


def _reading(routes: APIRouter, context: ServiceContext) -> None:
    @routes.get("/outbox")
    async def list_outbox(
        status: Filter = None,
        account: Filter = None,
        play: Filter = None,
        channel: Filter = None,
        history: _History = None,
        at: Cursor = None,
        limit: Limit = 100,
    ) -> Page[DeliveryRow]:
        """Deliveries that match every filter given, the newest (on their accounts' clocks) first."""
        known("status", status, STATUSES)
        known("channel", channel, REACH)
        wanted = Wanted(status, account, play, channel, history)
        return await _page(context, wanted, at, limit)

    @routes.get("/outbox/{delivery:id}")
    async def one_delivery(delivery: str) -> DeliveryView:
        """One delivery, with exactly what would go or went."""
        return await view(context, delivery)

    @routes.get("/tasks", tags=["tasks"])
    async def list_tasks(account: Filter = None, at: Cursor = None, limit: Limit = 100) -> Page[DeliveryRow]:
        """Tasks for your own people that nobody closed yet, the newest first."""
        return await _page(context, Wanted("opened", account, channel="task"), at, limit)


def _changing(routes: APIRouter, context: ServiceContext, book: Playbook, part_of: accounts.PartOf) -> None:
    admin = [Depends(allowed(context.keys, "admin"))]

    @routes.post("/outbox/release", dependencies=admin)
    async def release_play(wanted: PlayWanted) -> Released:
        """Let everything go that is previewed of a play, and neither history nor expired."""
        known("play", wanted.play, book.plays)
        async with context.database.transaction() as tx:
            return Released(released=await outbox.release_play(tx, wanted.play, context.clock.now()))

    @routes.post("/outbox/{delivery:id}/release", dependencies=admin)
    async def release(delivery: str) -> DeliveryView:
        """Let one previewed delivery go; it leaves while the mode is live."""
        async with context.database.transaction() as tx:
            await outbox.release(tx, delivery, context.clock.now())
        return await view(context, delivery)

    @routes.post("/tasks/{task:id}/done", tags=["tasks"], dependencies=admin)
    async def task_done(task: str) -> DeliveryView:
        """Close a task: its play may open another. Closing it twice changes nothing."""
        async with context.database.transaction() as tx:
            await outbox.done(tx, task, part_of, context.clock.now())
        return await view(context, task)


async def view(context: ServiceContext, delivery: str) -> DeliveryView:
    """One delivery. Raises Refused where there is none."""
    async with context.database.snapshot() as read:
        row = await deliveries.one(read, delivery)
    if row is None:
        raise Refused("no such delivery", "no_delivery", 404)
    return DeliveryView(**_fields(row))


async def _page(context: ServiceContext, wanted: Wanted, at: str | None, limit: int) -> Page[DeliveryRow]:
    async with context.database.snapshot() as read:
        rows = await deliveries.listed(read, wanted, moment_and_id(at), limit + 1)
    items = [DeliveryRow(**_fields(row)) for row in rows[:limit]]
    following = cursor([items[-1].at.isoformat(), items[-1].id]) if len(rows) > limit else None
    return Page(items=items, next=following)


def _fields(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it
