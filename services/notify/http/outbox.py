"""Outbox API: deliveries and tasks with their texts and reasons; releasing a preview, completing a task."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Query

from services.notify import store
from services.notify.core.playbook import Playbook
from services.notify.handlers import delivery as handlers
from services.notify.http.models import DeliveryRow, DeliveryView, Filter, PlayWanted, Released
from services.notify.store import Accounts, DeliveryFilter
from shared.contracts.outreach import DeliveryStatus
from shared.failures import Refused
from shared.http.audit import Act, administrative
from shared.http.auth import require_key
from shared.http.paging import MAX_PAGE, Page, decode_cursor, encode_cursor
from shared.service.context import ServiceContext

_Cursor = Annotated[str | None, Query(alias="cursor", description="`next` of the page before", max_length=1000)]
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
_History = Annotated[bool | None, Query(description="true: only what comes of imported history")]


def router(context: ServiceContext, book: Playbook, accounts: Accounts) -> APIRouter:
    """Reading takes a key of kind read, changing one of kind admin."""
    routes = APIRouter(prefix="/v1", tags=["outbox"], dependencies=[Depends(require_key(context.keys, "read"))])
    _reading(routes, context, book)
    _changing(routes, context, book, accounts)
    return routes


def _reading(routes: APIRouter, context: ServiceContext, book: Playbook) -> None:
    @routes.get("/outbox")
    async def list_outbox(
        status: Filter = None,
        account: Filter = None,
        play: Filter = None,
        channel: Filter = None,
        history: _History = None,
        at: _Cursor = None,
        limit: _Limit = 100,
    ) -> Page[DeliveryRow]:
        """Deliveries that match every filter given, the newest (on their accounts' clocks) first."""
        _refuse_unknown("status", status, get_args(DeliveryStatus))
        _refuse_unknown("channel", channel, book.channels)
        wanted = DeliveryFilter(status, account, play, channel, history)
        return await _page(context, wanted, at, limit)

    @routes.get("/outbox/{delivery:id}")
    async def one_delivery(delivery: str) -> DeliveryView:
        """One delivery, with exactly what would go or went."""
        return await view(context, delivery)

    @routes.get("/tasks", tags=["tasks"])
    async def list_tasks(account: Filter = None, at: _Cursor = None, limit: _Limit = 100) -> Page[DeliveryRow]:
        """Tasks for your own people that nobody closed yet, the newest first."""
        return await _page(context, DeliveryFilter("opened", account), at, limit)


def _changing(routes: APIRouter, context: ServiceContext, book: Playbook, accounts: Accounts) -> None:
    @routes.post("/outbox/release")
    async def release_play(
        wanted: PlayWanted, act: Annotated[Act, administrative(context, "play_released")]
    ) -> Released:
        """Let everything go that is previewed of a play, and neither history nor expired."""
        _refuse_unknown("play", wanted.play, book.plays)
        async with act.transaction(wanted.play) as tx:
            return Released(released=await handlers.release_play(tx, wanted.play, context.clock.now()))

    @routes.post("/outbox/{delivery:id}/release")
    async def release(delivery: str, act: Annotated[Act, administrative(context, "delivery_released")]) -> DeliveryView:
        """Let one previewed delivery go; it leaves while the mode is live."""
        async with act.transaction(delivery) as tx:
            await handlers.release(tx, delivery, context.clock.now())
        return await view(context, delivery)

    @routes.post("/tasks/{task:id}/done", tags=["tasks"])
    async def task_done(task: str, act: Annotated[Act, administrative(context, "task_closed")]) -> DeliveryView:
        """Close a task: its play may open another. Closing it twice changes nothing."""
        async with act.transaction(task) as tx:
            await handlers.complete_task(tx, task, accounts, context.clock.now())
        return await view(context, task)


async def view(context: ServiceContext, delivery: str) -> DeliveryView:
    """One delivery. Raises Refused where there is none."""
    async with context.database.snapshot() as read:
        record = await store.load(read, delivery)
    if record is None:
        raise Refused("no such delivery", "no_delivery", 404)
    return DeliveryView(**asdict(record))


async def _page(context: ServiceContext, wanted: DeliveryFilter, at: str | None, limit: int) -> Page[DeliveryRow]:
    async with context.database.snapshot() as read:
        records = await store.page(read, wanted, _position(at), limit + 1)
    items = [DeliveryRow(**asdict(record)) for record in records[:limit]]
    following = encode_cursor([items[-1].at.isoformat(), items[-1].id]) if len(records) > limit else None
    return Page(items=items, next=following)


def _position(text: str | None) -> tuple[datetime, str] | None:
    """The time and id of the last row of the page before. Raises Refused for what is no cursor of such a list."""
    values = decode_cursor(text, 2)
    if values is None:
        return None
    try:
        at = datetime.fromisoformat(values[0])
    except (ValueError, TypeError):
        at = None
    if at is None or at.tzinfo is None or not isinstance(values[1], str):
        raise Refused("this cursor is not one of ours; start without it", "bad_cursor")
    return at, values[1]


def _refuse_unknown(what: str, given: str | None, there_are: Collection[str]) -> None:
    """Raises Refused for a filter that can never match: a typo must not look like an empty list."""
    if given is not None and given not in there_are:
        raise Refused(f"no {what} '{given}'; there are: {', '.join(there_are)}", f"unknown_{what}")
