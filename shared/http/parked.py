"""REST resource of parked records (dead letters): every service lists its own, and redrives them on request."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from shared.failures import Refused
from shared.http.audit import Act, administrative
from shared.http.auth import require_key
from shared.http.paging import MAX_PAGE, Page, decode_cursor, encode_cursor
from shared.service import dead_letters
from shared.service.context import ServiceContext
from shared.service.dead_letters import DeadLetter

_MAX_BODY_BYTES = 2000
_Reason = Annotated[str | None, Query(pattern="^[a-z_]{1,40}$")]
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
RedriveFunction = Callable[[Sequence[str]], Awaitable[int]]
"""Processes the parked records with these ids once more; how many were taken. Those still invalid are parked anew."""


class ParkedRecord(BaseModel):
    """A record that could not be processed. `body` is what arrived, at most 2,000 bytes of it; `about` the id it waits for."""

    id: str
    topic: str
    reason: str
    detail: str
    about: str
    parked_at: datetime
    body: str


class Redrive(BaseModel):
    """Which parked records to redrive."""

    model_config = ConfigDict(extra="forbid")
    ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_PAGE)]


class Redriven(BaseModel):
    """How many were taken; those still invalid are parked anew."""

    taken: int


def router(context: ServiceContext, group: str, redrive: RedriveFunction) -> APIRouter:
    """The routes for one group's parked records."""
    routes = APIRouter(prefix="/v1", tags=["parked"])

    @routes.get("/parked", dependencies=[Depends(require_key(context.keys, "read"))])
    async def list_parked(
        reason: _Reason = None,
        after_cursor: Annotated[str | None, Query(alias="cursor")] = None,
        limit: _Limit = 100,
    ) -> Page[ParkedRecord]:
        """Records that could not be processed, with the reason of each."""
        start = _start(after_cursor)
        async with context.database.snapshot() as read:
            found = await dead_letters.list_open(read, group, reason, start, limit + 1)
        items = [_view(one) for one in found[:limit]]
        return Page(items=items, next=encode_cursor([items[-1].id]) if len(found) > limit else None)

    @routes.post("/parked/redrive")
    async def redrive_parked(
        wanted: Redrive, act: Annotated[Act, administrative(context, "parked_redriven")]
    ) -> Redriven:
        """Redrive records, once each, with their original ids."""
        ids = [str(parked_id) for parked_id in wanted.ids]
        await act.announce(group, ids=ids)
        return Redriven(taken=await redrive(ids))

    return routes


def _start(text: str | None) -> str:
    """The id after which a page starts."""
    values = decode_cursor(text, 1)
    if values is None:
        return ""
    try:
        return str(UUID(values[0]))
    except (ValueError, AttributeError, TypeError):
        raise Refused("this cursor is not one of ours; start without it", "bad_cursor") from None


def _view(parked: DeadLetter) -> ParkedRecord:
    return ParkedRecord(
        id=parked.id,
        topic=parked.partition.topic,
        reason=parked.reason,
        detail=parked.detail,
        about=parked.waits_for,
        parked_at=parked.parked_at,
        body=parked.record.value[:_MAX_BODY_BYTES].decode("utf8", "replace"),
    )
