"""REST resource of parked records (dead letters): every service lists its own, and redrives them on request."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from shared.http.audit import Act, administrative
from shared.http.auth import require_key
from shared.http.paging import (
    MAX_PAGE,
    Count,
    CountedPage,
    Limit,
    Since,
    bad_cursor,
    decode_cursor,
    encode_cursor,
    order_of,
    sorts_in_words,
)
from shared.service import dead_letters
from shared.service.context import ServiceContext
from shared.service.dead_letters import DeadLetter, DeadLetterFilter
from shared.values import read_time

_MAX_BODY_BYTES = 2000
_Reason = Annotated[str | None, Query(pattern="^[a-z_]{1,40}$")]
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
        q: Annotated[str | None, Query(max_length=200, description="text in the detail or what it waits for")] = None,
        since: Since = None,
        sort: Annotated[str, Query(description=sorts_in_words(dead_letters.SORTS))] = "id",
        count: Count = False,
        after_cursor: Annotated[str | None, Query(alias="cursor")] = None,
        limit: Limit = 100,
    ) -> CountedPage[ParkedRecord]:
        """Records that could not be processed, with the reason of each."""
        by, descending = order_of(sort, dead_letters.SORTS)
        wanted, start = DeadLetterFilter(reason, q, since), _start(after_cursor, by)
        async with context.database.snapshot() as read:
            found = await dead_letters.list_open(read, group, wanted, start, limit + 1, by, descending=descending)
            total = await dead_letters.count_matching(read, group, wanted) if count else None
        items = [_view(one) for one in found[:limit]]
        return CountedPage(items=items, next=_next(items[-1], by) if len(found) > limit else None, total=total)

    @routes.post("/parked/redrive")
    async def redrive_parked(
        wanted: Redrive, act: Annotated[Act, administrative(context, "parked_redriven")]
    ) -> Redriven:
        """Redrive records, once each, with their original ids."""
        ids = [str(parked_id) for parked_id in wanted.ids]
        await act.announce(group, ids=ids)
        return Redriven(taken=await redrive(ids))

    return routes


def _next(last: ParkedRecord, by: str) -> str:
    return encode_cursor([last.id] if by == "id" else [getattr(last, by), last.id])


def _start(text: str | None, by: str) -> tuple[Any, str] | None:
    """The sort value and the id after which a page starts. Raises Refused."""
    values = decode_cursor(text, 1 if by == "id" else 2)
    if values is None:
        return None
    try:
        last = str(UUID(values[-1]))
    except (ValueError, AttributeError, TypeError):
        last = ""
    value: Any = last if by == "id" else values[0] if isinstance(values[0], str) and "\0" not in values[0] else None
    value = read_time(value) if by == "parked_at" else value
    if not last or value is None:
        raise bad_cursor()
    return value, last


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
