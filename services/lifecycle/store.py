"""Queries of lifecycle: accounts in lists, the decisions about an account, and visits to stages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select

from services.lifecycle.core.funnel import StageVisit
from services.lifecycle.tables import account, decision, stage_visit
from shared.db.protocol import Read


class ListedAccount(NamedTuple):
    """An account as a list shows it. `score` is None when unknown, `clock` the account's own time."""

    id: str
    name: str
    stage: str
    entered_at: datetime
    flags: list[str]
    band: str
    score: float | None
    clock: datetime


class StoredDecision(NamedTuple):
    """A decision about an account: its number, and the message as published (JSON)."""

    seq: int
    body: bytes


async def list_accounts(
    read: Read, stage: str | None, band: str | None, flag: str | None, after: str, limit: int
) -> list[ListedAccount]:
    """Accounts by id, those that match every filter given."""
    c = account.c
    columns = (c.id, c.name, c.stage, c.entered_at, c.flags, c.band, c.score, c.clock)
    found: Select[Any] = select(*columns).where(c.id > after)
    if stage is not None:
        found = found.where(c.stage == stage)
    if band is not None:
        found = found.where(c.band == band)
    if flag is not None:
        found = found.where(c.flags.contains(f" {flag} ", autoescape=True))
    rows = await read.all(found.order_by(c.id).limit(limit))
    return [ListedAccount._make(row)._replace(flags=row.flags.split()) for row in rows]


async def list_decisions(
    read: Read, account_id: str, kinds: Sequence[str], before: int | None, limit: int
) -> list[StoredDecision]:
    """The decisions about an account, the latest first."""
    c = decision.c
    found = select(c.seq, c.body).where(c.account_id == account_id)
    if kinds:
        found = found.where(c.kind.in_(kinds))
    if before is not None:
        found = found.where(c.seq < before)
    return [StoredDecision._make(row) for row in await read.all(found.order_by(c.seq.desc()).limit(limit))]


async def stage_visits(read: Read) -> list[StageVisit]:
    """Every visit of every account to a stage, with the account's own clock, to which an open visit lasts so far."""
    c = stage_visit.c
    of_account = stage_visit.join(account, account.c.id == c.account_id)
    columns = (c.stage, c.entered_at, c.left_at, c.next_stage, account.c.clock)
    return [StageVisit._make(row) for row in await read.all(select(*columns).select_from(of_account))]


async def count_accounts(read: Read) -> int:
    """How many accounts there are."""
    return int(await read.scalar(select(func.count()).select_from(account)))
