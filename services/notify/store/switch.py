"""Does mail leave the house? One row says so; before anybody set it, the settings do."""

from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import select

from services.notify.tables import switch
from shared.db.protocol import Read, Tx

Mode = Literal["preview", "live"]
_NAME = "outreach"


class Switch(NamedTuple):
    """The mode, who set it and when; empty and None while it is the settings' own."""

    mode: Mode
    set_by: str = ""
    set_at: datetime | None = None


async def read_switch(read: Read, first: Mode) -> Switch:
    """How it stands."""
    row = await read.first(select(switch).where(switch.c.name == _NAME))
    return Switch(first) if row is None else Switch(row.mode, row.set_by, row.set_at)


async def set_switch(tx: Tx, to: Switch) -> None:
    """From the next decision on."""
    await tx.upsert(switch, [{"name": _NAME, **to._asdict()}])
