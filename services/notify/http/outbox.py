"""Outbox API: deliveries and tasks with their texts and reasons; releasing a preview, sending again what failed, completing a task."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, NamedTuple, get_args

from fastapi import APIRouter, Depends, Query

from services.notify import queries, store
from services.notify.core.playbook import Playbook
from services.notify.handlers import delivery as handlers
from services.notify.handlers.planning import MessageWriter
from services.notify.http.models import (
    DeliveryRow,
    DeliveryView,
    Filter,
    PlayWanted,
    Redriven,
    RedriveWanted,
    Released,
    TaskDone,
)
from services.notify.queries import DeliveryFilter, ListedDelivery
from services.notify.store import Accounts
from shared.contracts.outreach import DeliveryStatus
from shared.db.protocol import Tx
from shared.failures import Refused
from shared.http.audit import Act, administrative
from shared.http.auth import require_key
from shared.http.paging import (
    Count,
    CountedPage,
    Limit,
    Since,
    decode_text_cursor,
    encode_cursor,
    order_of,
    refuse_unknown,
    sorts_in_words,
)
from shared.service.context import ServiceContext

_Cursor = Annotated[str | None, Query(alias="cursor", description="`next` of the page before", max_length=1000)]
_History = Annotated[bool | None, Query(description="true: only what comes of imported history")]
_Owner = Annotated[str | None, Query(max_length=200, description="who looks after the account; empty: nobody does")]
_Text = Annotated[
    str | None, Query(max_length=200, description="text in the account's name or id, or the address it went to")
]
_Sort = Annotated[str, Query(description=sorts_in_words(queries.SORTS))]


def router(context: ServiceContext, book: Playbook, accounts: Accounts, writer: MessageWriter) -> APIRouter:
    """Reading takes a key of kind read, changing one of kind admin."""
    routes = APIRouter(prefix="/v1", tags=["outbox"], dependencies=[Depends(require_key(context.keys, "read"))])
    shown = Shown(context, accounts, writer)
    _reading(routes, context, book, shown)
    _changing(routes, context, book, shown)
    return routes


class Shown(NamedTuple):
    """What one delivery is shown with."""

    context: ServiceContext
    accounts: Accounts
    writer: MessageWriter

    async def view(self, delivery: str) -> DeliveryView:
        """One delivery; the page of one that has not left is written for whoever looks. Raises Refused where there is none."""
        async with self.context.database.snapshot() as read:
            record = await store.load(read, delivery)
            if record is None:
                raise Refused("no such delivery", "no_delivery", 404)
            [named] = await queries.with_names(read, self.accounts, [record])
        written = None if record.html else self.writer.as_planned(record)
        return DeliveryView(**_values(named) | (written._asdict() if written else {}))


def _reading(routes: APIRouter, context: ServiceContext, book: Playbook, shown: Shown) -> None:
    @routes.get("/outbox")
    async def list_outbox(
        status: Filter = None,
        account: Filter = None,
        play: Filter = None,
        channel: Filter = None,
        history: _History = None,
        owner: _Owner = None,
        q: _Text = None,
        since: Since = None,
        sort: _Sort = "-at",
        count: Count = False,
        at: _Cursor = None,
        limit: Limit = 100,
    ) -> CountedPage[DeliveryRow]:
        """Deliveries that match every filter given, the newest (on their accounts' clocks) first."""
        refuse_unknown("status", status, get_args(DeliveryStatus))
        refuse_unknown("channel", channel, book.channels)
        wanted = DeliveryFilter(status, account, play, channel, history, owner, q, since)
        return _known_play(book, wanted, await _page(context, shown.accounts, wanted, sort, at, limit, count=count))

    @routes.get("/outbox/{delivery:id}")
    async def one_delivery(delivery: str) -> DeliveryView:
        """One delivery, with exactly what went; one that has not left, as it was planned: its text is written anew when it leaves."""
        return await shown.view(delivery)

    @routes.get("/tasks", tags=["tasks"])
    async def list_tasks(
        account: Filter = None,
        play: Filter = None,
        owner: _Owner = None,
        q: _Text = None,
        since: Since = None,
        done: Annotated[bool, Query(description="true: those that were closed, with what came of them")] = False,
        sort: _Sort = "-at",
        count: Count = False,
        at: _Cursor = None,
        limit: Limit = 100,
    ) -> CountedPage[DeliveryRow]:
        """Tasks for your own people that nobody closed yet, the newest first."""
        wanted = DeliveryFilter("done" if done else "opened", account, play, None, None, owner, q, since)
        return _known_play(book, wanted, await _page(context, shown.accounts, wanted, sort, at, limit, count=count))


def _changing(routes: APIRouter, context: ServiceContext, book: Playbook, shown: Shown) -> None:
    async def in_slices(work: Callable[[Tx, datetime], Awaitable[int]], most: int | None = None) -> int:
        """Do it in transactions of so many rows, until there are no more: how many. The outbox goes on in between."""
        total = 0
        while most is None or total < most:
            async with context.database.transaction() as tx:
                done = await work(tx, context.clock.now())
            total += done
            if done < handlers.AT_ONCE_BY_HAND:
                break
        return total

    @routes.post("/outbox/release")
    async def release_play(
        wanted: PlayWanted, act: Annotated[Act, administrative(context, "play_released")]
    ) -> Released:
        """Let everything go that is previewed of a play, and neither history nor expired."""
        refuse_unknown("play", wanted.play, book.plays)
        await act.announce(wanted.play)
        return Released(released=await in_slices(lambda tx, now: handlers.release_play(tx, wanted.play, now)))

    @routes.post("/outbox/{delivery:id}/release")
    async def release(delivery: str, act: Annotated[Act, administrative(context, "delivery_released")]) -> DeliveryView:
        """Let one previewed delivery go; it leaves while the mode is live."""
        async with act.transaction(delivery) as tx:
            await handlers.release(tx, delivery, context.clock.now())
        return await shown.view(delivery)

    @routes.post("/outbox/redrive")
    async def redrive_failed(
        wanted: RedriveWanted, act: Annotated[Act, administrative(context, "failures_redriven")]
    ) -> Redriven:
        """Send again what failed, all of it or of a play or channel, but for addresses that are dead. Each is asked again."""
        refuse_unknown("play", wanted.play, book.plays)
        refuse_unknown("channel", wanted.channel, book.channels)
        failed = store.FailedFilter(**wanted.model_dump())
        await act.announce(wanted.play or wanted.channel or "everything")
        redriven = await in_slices(lambda tx, now: handlers.redrive_failed(tx, failed, now), handlers.MAX_REDRIVEN)
        async with context.database.snapshot() as read:
            expired = await store.count_expired_failures(read, failed, context.clock.now())
        return Redriven(redriven=redriven, expired=expired)

    @routes.post("/outbox/{delivery:id}/redrive")
    async def redrive(delivery: str, act: Annotated[Act, administrative(context, "delivery_redriven")]) -> DeliveryView:
        """Send a failed delivery again. It is asked again when it leaves, like everything else; nothing in doubt is sent twice."""
        async with act.transaction(delivery) as tx:
            await handlers.redrive(tx, delivery, context.clock.now())
        return await shown.view(delivery)

    @routes.post("/tasks/{task:id}/done", tags=["tasks"])
    async def task_done(
        task: str, act: Annotated[Act, administrative(context, "task_closed")], said: TaskDone | None = None
    ) -> DeliveryView:
        """Close a task, with what came of it: its play may open another. Closing it twice changes nothing."""
        outcome = said.outcome if said is not None else ""
        async with act.transaction(task, **({"outcome": outcome} if outcome else {})) as tx:
            await handlers.complete_task(tx, task, shown.accounts, context.clock.now(), act.actor.name, outcome)
        return await shown.view(task)


def _values(listed: ListedDelivery) -> dict[str, Any]:
    names = {"account_name": listed.account_name, "owner": listed.owner, "user_name": listed.user_name}
    return {**asdict(listed.delivery), **names}


async def _page(
    context: ServiceContext,
    accounts: Accounts,
    wanted: DeliveryFilter,
    sort: str,
    at: str | None,
    limit: int,
    *,
    count: bool,
) -> CountedPage[DeliveryRow]:
    by, descending = order_of(sort, queries.SORTS)
    start = decode_text_cursor(at, is_time=by == "at")
    async with context.database.snapshot() as read:
        page = await queries.list_deliveries(read, accounts, wanted, limit, by, start, descending=descending)
        total = await queries.count_deliveries(read, wanted) if count else None
    items = [DeliveryRow(**_values(one)) for one in page.deliveries]
    return CountedPage(items=items, next=encode_cursor(page.sorted_by) if page.sorted_by else None, total=total)


def _known_play(book: Playbook, wanted: DeliveryFilter, page: CountedPage[DeliveryRow]) -> CountedPage[DeliveryRow]:
    """The page. Raises Refused for an empty one of a play that is not there: what plays that are gone sent is still found."""
    if not page.items:
        refuse_unknown("play", wanted.play, book.plays)
    return page
