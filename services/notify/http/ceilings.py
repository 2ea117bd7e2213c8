"""Ceilings API: how each ceiling stands, and letting go what one holds back."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from services.notify.sending_limits import Ceilings
from shared.http.audit import Act, administrative
from shared.http.auth import require_key
from shared.service.context import ServiceContext


class CeilingView(BaseModel):
    """A ceiling: at most `max` in `within` seconds, of which `counted` went out. `tripped_at`: it holds messages back since."""

    name: str
    max: int
    within: float
    then: str
    counted: int
    tripped_at: datetime | None
    until: datetime | None
    released_at: datetime | None
    released_by: str | None


def router(context: ServiceContext, ceilings: Ceilings) -> APIRouter:
    """Reading takes a key of kind read, releasing one of kind admin."""
    routes = APIRouter(
        prefix="/v1/ceilings", tags=["ceilings"], dependencies=[Depends(require_key(context.keys, "read"))]
    )

    @routes.get("")
    async def list_ceilings() -> list[CeilingView]:
        """Each ceiling of `budget.yaml` and how it stands."""
        async with context.database.snapshot() as read:
            return [CeilingView(**status._asdict()) for status in await ceilings.status(read, context.clock.now())]

    @routes.post("/{name:id}/release")
    async def release(name: str, act: Annotated[Act, administrative(context, "ceiling_released")]) -> CeilingView:
        """Count from nothing again, and let go what is held back."""
        now = context.clock.now()
        async with act.transaction(name) as tx:
            await ceilings.release(tx, name, act.actor.name, now)
            found = next(status for status in await ceilings.status(tx, now) if status.name == name)
        return CeilingView(**found._asdict())

    return routes
