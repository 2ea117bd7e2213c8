"""Routes of lifecycle: accounts, their decisions, the funnel and the definition."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query

from services.lifecycle import store
from services.lifecycle.core import explain
from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.funnel import figures
from services.lifecycle.core.state import Account
from services.lifecycle.handlers import Handlers
from services.lifecycle.http.models import (
    AccountRow,
    AccountView,
    Decision,
    Diagram,
    Funnel,
    PlaceCountRow,
    Portfolio,
    StageFigures,
)
from services.lifecycle.place_counts import PlaceCounts
from shared.contracts import evidence
from shared.failures import Refused
from shared.http.auth import require_key
from shared.http.paging import MAX_PAGE, Page, decode_cursor, encode_cursor
from shared.service.context import ServiceContext

Cursor = Annotated[str | None, Query(alias="cursor", description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
_SORT_VALUES: Mapping[str, Callable[[Any], Any]] = {"entered_at": datetime.fromisoformat, "score": float}
"""How the value in a cursor is read; text where nothing is said."""


def router(context: ServiceContext, compiled: CompiledDefinition, handlers: Handlers) -> APIRouter:
    """Every route takes a key of kind read."""
    accounts = handlers.accounts
    routes = APIRouter(prefix="/v1", dependencies=[Depends(require_key(context.keys, "read"))])

    @routes.get("/accounts", tags=["accounts"])
    async def list_accounts(
        stage: str | None = None,
        health: Annotated[str | None, Query(description="green, yellow, red or unknown")] = None,
        flag: Annotated[str | None, Query(description="at_risk, stalled, renewal_window ...")] = None,
        q: Annotated[str | None, Query(max_length=200, description="text in the name or the id")] = None,
        ids: Annotated[list[str] | None, Query(max_length=MAX_PAGE, description="these accounts")] = None,
        sort: Annotated[str, Query(description="id, name, score or entered_at; from the end with - before it")] = "id",
        at: Cursor = None,
        limit: Limit = 100,
    ) -> Page[AccountRow]:
        """Accounts that match every filter given; an unknown health score comes before the lowest."""
        by, descending = sort.removeprefix("-"), sort.startswith("-")
        _check_filter("sort", by, store.SORTS)
        _check_filter("stage", stage, compiled.definition.stages)
        _check_filter("health", health, ("green", "yellow", "red", "unknown"))
        _check_filter("flag", flag, compiled.definition.flags)
        wanted = store.AccountFilter(stage, health, flag, q, ids)
        start = _start_of(at, by)
        async with context.database.snapshot() as read:
            rows = await store.list_accounts(read, wanted, limit + 1, by, start, descending=descending)
        items = [AccountRow(**row._asdict()) for row in rows[:limit]]
        return Page(items=items, next=_cursor_behind(rows[limit - 1], by) if len(rows) > limit else None)

    @routes.get("/portfolio", tags=["accounts"])
    async def portfolio() -> Portfolio:
        """How many accounts there are, by stage, health band and flag."""
        async with context.database.snapshot() as read:
            return Portfolio(**(await store.count_by_column(read))._asdict())

    @routes.get("/accounts/{account:id}/history", tags=["accounts"])
    async def account_history(
        account: str, kind: Annotated[list[str] | None, Query()] = None, at: Cursor = None, limit: Limit = 100
    ) -> Page[Decision]:
        """What was decided about an account, the latest first, each with its evidence. Filter by `kind`, e.g. stage_changed."""
        start = decode_cursor(at, 1)
        async with context.database.snapshot() as read:
            rows = await store.list_decisions(read, account, kind or [], start[0] if start else None, limit + 1)
            if not rows and await accounts.load(read, account) is None:
                raise _no_account(account)
        items = [evidence.upcast(msgspec.json.decode(row.body)) for row in rows[:limit]]
        return Page(items=items, next=encode_cursor([rows[limit - 1].seq]) if len(rows) > limit else None)

    @routes.get("/accounts/{account:id}", tags=["accounts"])
    async def one_account(account: str) -> AccountView:
        """One account: stage, health and its measures, metrics, milestones, and what stands before its next stages."""
        async with context.database.snapshot() as read:
            found = await accounts.load(read, account)
        if found is None:
            raise _no_account(account)
        return _view(found, compiled)

    @routes.get("/funnel", tags=["funnel"])
    async def funnel() -> Funnel:
        """How many accounts are in each stage, how long stages take, and where they lead."""
        async with context.database.snapshot() as read:
            accounts_seen = await store.count_accounts(read)
            visits = await store.stage_visits(read)
        stages = [StageFigures(**stage._asdict()) for stage in figures(list(compiled.definition.stages), visits)]
        return Funnel(definition=compiled.version, accounts=accounts_seen, stages=stages)

    @routes.get("/definition", tags=["definition"])
    async def definition() -> Diagram:
        """The stage machine as it runs now."""
        return Diagram(definition=compiled.version, mermaid=explain.diagram(compiled))

    _add_place_counts(routes, handlers)
    return routes


def _add_place_counts(routes: APIRouter, handlers: Handlers) -> None:
    @routes.get("/unreadable", tags=["definition"])
    async def unreadable_values() -> Page[PlaceCountRow]:
        """Values that this process could not read since it began, by source, event and property; the most frequent first."""
        return _page_of(handlers.unreadable)

    @routes.get("/untrusted", tags=["definition"])
    async def untrusted_claims() -> Page[PlaceCountRow]:
        """What browsers said to this process since it began and may not say, by source, event and property; the most frequent first.

        It moved nothing. A trusted event or trait of your own that stands here is sent with a browser's key: send it from your server.
        """
        return _page_of(handlers.untrusted)


def _page_of(counts: PlaceCounts) -> Page[PlaceCountRow]:
    items = [PlaceCountRow(**place._asdict(), count=n, example=text) for place, n, text in counts.listed()]
    return Page(items=items, next=None)


def _view(account: Account, compiled: CompiledDefinition) -> AccountView:
    shown = explain.snapshot_of(account, compiled)
    plain: dict[str, Any] = {
        "id": account.id,
        "stage": account.stage,
        "entered_at": account.entered_at,
        "flags": list(account.flags),
        "band": account.health.band,
        "score": account.health.score,
        "clock": account.clock,
        "name": str(shown.traits.get("name") or account.id),
        "traits": shown.traits,
        "metrics": shown.metrics,
        "milestones": shown.milestones,
        "health": msgspec.to_builtins(explain.health_detail(account, compiled)),
        "next": msgspec.to_builtins(explain.standing(account, compiled)),
    }
    return AccountView.model_validate(plain)


def _cursor_behind(row: store.ListedAccount, by: str) -> str:
    value = store.sort_value(row, by)
    return encode_cursor([value.isoformat() if isinstance(value, datetime) else value, row.id])


def _start_of(cursor: str | None, by: str) -> tuple[Any, str] | None:
    """The value and the id that a page begins behind. Raises Refused for a cursor that belongs to another order."""
    start = decode_cursor(cursor, 2)
    if start is None:
        return None
    value, account_id = start
    try:
        value = _SORT_VALUES.get(by, str)(value)
    except (TypeError, ValueError):
        raise Refused("this cursor belongs to another order; start without it", "bad_cursor") from None
    return value, str(account_id)


def _no_account(account: str) -> Refused:
    return Refused(f"no account '{account}' has been seen", "no_account", 404)


def _check_filter(what: str, given: str | None, values: Any) -> None:
    """Raises Refused for a filter that can never match: a typo must not look like an empty list."""
    if given is not None and given not in values:
        raise Refused(f"no {what} '{given}'; there are: {', '.join(values)}", f"unknown_{what}")
