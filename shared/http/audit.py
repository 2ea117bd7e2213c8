"""Audit of REST: the dependency by which a route may change something, and the resource that lists what was done.

A route that changes something takes `act: Annotated[Act, administrative(context, "mode_set")]` in place of a key, and changes it in
`act.transaction(...)`: what it does and the record of who did it commit together. One that records nothing fails.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from shared.access import audit
from shared.access.audit import Action, Actor, AuditEntry, AuditFilter
from shared.db.protocol import Tx
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
from shared.keys import Key
from shared.service.context import ServiceContext

_Text = Annotated[str | None, Query(max_length=400)]


OPERATOR = "X-Waymark-Operator"
"""The header in which a command says for whom it uses an admin key. Believed as far as the key is, and kept beside the key's name."""
_MAX_OPERATOR = 200


class Act:
    """One administrative act, while it is done. `operator` is who the caller says uses the key."""

    def __init__(self, context: ServiceContext, action: Action, actor: Actor, operator: str = "") -> None:
        self._context = context
        self._action = action
        self._by = {"operator": operator} if operator else {}
        self.actor = actor
        self.recorded = False

    @asynccontextmanager
    async def transaction(self, subject: str = "", **details: Any) -> AsyncIterator[Tx]:
        """The transaction of the service's database that does it. `subject` is what is changed, `details` how."""
        async with self._context.database.transaction() as tx:
            yield tx
            await self.record(tx, subject, **details)

    async def announce(self, subject: str = "", **details: Any) -> None:
        """Record it before it is done: for what takes transactions of its own."""
        async with self._context.access.transaction() as tx:
            await self.record(tx, subject, **details)

    async def record(self, tx: Tx, subject: str = "", **details: Any) -> None:
        """Record it in this transaction."""
        entry = AuditEntry(self._context.clock.now(), self.actor, self._action, subject, {**details, **self._by})
        await audit.record(tx, entry)
        self.recorded = True


class Administrative:
    """The dependency: the caller has a key of kind admin, and what they do is recorded as this action."""

    def __init__(self, context: ServiceContext, action: Action) -> None:
        self.action = action
        self._context = context
        self._check = require_key(context.keys, "admin")

    async def __call__(self, request: Request) -> AsyncIterator[Act]:
        """Give the act. Raises RuntimeError when the route ends well and has recorded nothing."""
        key = self._check(request)
        act = Act(self._context, self.action, _actor(key, request), _operator(key, request))
        yield act
        if not act.recorded:
            raise RuntimeError(f"{request.method} {request.url.path} left no record of {self.action}")


def administrative(context: ServiceContext, action: Action) -> Any:
    """The dependency of a route that changes something: who calls has a key of kind admin, and is recorded."""
    return Depends(Administrative(context, action), scope="function")


def _actor(key: Key, request: Request) -> Actor:
    address = request.client.host if request.client else "unknown"
    if key.acting is not None:
        return Actor(key.name, key.id, key.acting.session_id, key.acting.address)
    return Actor(key.name, key.id, "", address)


def _operator(key: Key, request: Request) -> str:
    """Who the caller says it acts for, on one line; empty in a session of the console, which says it itself."""
    told = "" if key.acting is not None else request.headers.get(OPERATOR, "")
    return "".join(sign for sign in told if sign.isascii() and sign.isprintable())[:_MAX_OPERATOR]


class AuditView(BaseModel):
    """One act. `actor` is the key's name; `session` the console's, empty outside it; `subject` what was changed, `details` how,
    with the `operator` where a command said who ran it.
    """

    at: datetime
    id: str
    actor: str
    key: str
    session: str
    address: str
    action: str
    subject: str
    details: dict[str, Any]


def router(context: ServiceContext) -> APIRouter:
    """The list; it takes an admin key."""
    routes = APIRouter(prefix="/v1", tags=["audit"], dependencies=[Depends(require_key(context.keys, "admin"))])

    @routes.get("/audit")
    async def list_audit(
        action: _Text = None,
        actor: _Text = None,
        subject: _Text = None,
        q: Annotated[
            str | None, Query(max_length=200, description="text in who, what, on what or how; in whatever case")
        ] = None,
        since: Since = None,
        sort: Annotated[str, Query(description=sorts_in_words(audit.SORTS))] = "-at",
        count: Count = False,
        after_cursor: Annotated[str | None, Query(alias="cursor", max_length=1000)] = None,
        limit: Limit = 100,
    ) -> CountedPage[AuditView]:
        """Who did what, when and from where, of all services and the console; the latest first."""
        refuse_unknown("action", action, get_args(Action))
        by, descending = order_of(sort, audit.SORTS)
        wanted = AuditFilter(action, actor, subject, q, since)
        behind = decode_text_cursor(after_cursor, is_time=by == "at")
        async with context.access.snapshot() as read:
            found = await audit.page(read, wanted, behind, limit + 1, by, descending=descending)
            total = await audit.count(read, wanted) if count else None
        items = [_view(entry) for entry in found[:limit]]
        following = encode_cursor([getattr(items[-1], by), items[-1].id]) if len(found) > limit else None
        return CountedPage(items=items, next=following, total=total)

    return routes


def _view(entry: AuditEntry) -> AuditView:
    who = entry.actor
    return AuditView(
        at=entry.at,
        id=entry.id,
        actor=who.name,
        key=who.key_id,
        session=who.session_id,
        address=who.address,
        action=entry.action,
        subject=entry.subject,
        details=dict(entry.details),
    )
