"""What may be asked of ingest? Which records are parked and why, and to try them again."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict

from services.ingest.handlers import GROUP, Handlers
from shared.http.auth import allowed
from shared.http.paging import MOST, Page, after, cursor
from shared.service import parking
from shared.service.parts import Parts


class ParkedRecord(BaseModel):
    """A record that was not taken. `body` is what arrived, at most 2,000 characters of it."""

    id: str
    reason: str
    detail: str
    about: str
    parked_at: datetime
    body: str


class Redrive(BaseModel):
    """Which parked records to try again."""

    model_config = ConfigDict(extra="forbid")
    ids: list[str]


class Redriven(BaseModel):
    """How many were taken up; those still unfit are parked again."""

    taken: int


def router(parts: Parts, handlers: Handlers) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1", tags=["parked"])

    @routes.get("/parked", dependencies=[Depends(allowed(parts.keys, "read"))])
    async def list_parked(
        reason: str | None = None,
        after_cursor: Annotated[str | None, Query(alias="cursor")] = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    ) -> Page[ParkedRecord]:
        """Records that could not be taken, with the reason of each."""
        start = after(after_cursor, 1)
        async with parts.database.snapshot() as read:
            rows = await parking.listed(read, GROUP, reason, start[0] if start else "", limit + 1)
        items = [
            ParkedRecord(
                id=row.id,
                reason=row.reason,
                detail=row.detail,
                about=row.about,
                parked_at=row.parked_at,
                body=row.value[:2000].decode("utf8", "replace"),
            )
            for row in rows[:limit]
        ]
        return Page(items=items, next=cursor([items[-1].id]) if len(rows) > limit else None)

    @routes.post("/parked/redrive", dependencies=[Depends(allowed(parts.keys, "admin"))])
    async def redrive(wanted: Redrive) -> Redriven:
        """Try records again, once each, with their original ids."""
        async with parts.database.transaction() as tx:
            return Redriven(taken=await handlers.redrive(tx, wanted.ids, parts.clock.now()))

    return routes
