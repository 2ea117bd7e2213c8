"""What was not taken, and why? Every service lists its parked records alike, and tries them again on request."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from shared.failures import Refused
from shared.http.auth import allowed
from shared.http.paging import MOST, Page, after, cursor
from shared.service import dead_letters
from shared.service.context import ServiceContext

_SHOWN = 2000
_Reason = Annotated[str | None, Query(pattern="^[a-z_]{1,40}$")]
_Limit = Annotated[int, Query(ge=1, le=MOST)]
TryAgain = Callable[[Sequence[str]], Awaitable[int]]
"""Takes up the parked records with these ids, each once; how many. Those still unfit are parked again."""


class ParkedRecord(BaseModel):
    """A record that was not taken. `body` is what arrived, at most 2,000 bytes of it; `about` what it waits for."""

    id: str
    topic: str
    reason: str
    detail: str
    about: str
    parked_at: datetime
    body: str


class Redrive(BaseModel):
    """Which parked records to try again."""

    model_config = ConfigDict(extra="forbid")
    ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST)]


class Redriven(BaseModel):
    """How many were taken up; those still unfit are parked again."""

    taken: int


def router(context: ServiceContext, group: str, try_again: TryAgain) -> APIRouter:
    """The routes for one group's parked records."""
    routes = APIRouter(prefix="/v1", tags=["parked"])

    @routes.get("/parked", dependencies=[Depends(allowed(context.keys, "read"))])
    async def list_parked(
        reason: _Reason = None,
        after_cursor: Annotated[str | None, Query(alias="cursor")] = None,
        limit: _Limit = 100,
    ) -> Page[ParkedRecord]:
        """Records that could not be taken, with the reason of each."""
        start = _start(after_cursor)
        async with context.database.snapshot() as read:
            rows = await dead_letters.list_open(read, group, reason, start, limit + 1)
        items = [_shown(row) for row in rows[:limit]]
        return Page(items=items, next=cursor([items[-1].id]) if len(rows) > limit else None)

    @routes.post("/parked/redrive", dependencies=[Depends(allowed(context.keys, "admin"))])
    async def redrive_parked(wanted: Redrive) -> Redriven:
        """Try records again, once each, with their original ids."""
        return Redriven(taken=await try_again([str(one) for one in wanted.ids]))

    return routes


def _start(text: str | None) -> str:
    """The id after which a page starts."""
    values = after(text, 1)
    if values is None:
        return ""
    try:
        return str(UUID(values[0]))
    except (ValueError, AttributeError, TypeError):
        raise Refused("this cursor is not one of ours; start without it", "bad_cursor") from None


def _shown(row: Row[Any]) -> ParkedRecord:
    return ParkedRecord(
        id=row.id,
        topic=row.topic,
        reason=row.reason,
        detail=row.detail,
        about=row.waits_for,
        parked_at=row.parked_at,
        body=row.value[:_SHOWN].decode("utf8", "replace"),
    )
