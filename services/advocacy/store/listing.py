"""What is shown of it? Queries for REST, each list in an order that stays while rows come and go."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, Select, Table, and_, case, func, or_, select

from services.advocacy.core.ledger import Reward
from services.advocacy.core.referral import Code, Referral
from services.advocacy.tables import answer, code, invitation, ledger_entry, note, referral, reward
from shared.db.protocol import Read

_i, _a, _l = invitation.c, answer.c, ledger_entry.c
Place = tuple[datetime, str]
"""The row a page starts before."""


async def sent(read: Read) -> dict[str, tuple[int, int]]:
    """For each survey how many were sent, and answered of them. An answer proves that it arrived, whatever was told."""
    reached = func.count(case((or_(_i.delivery == "sent", _a.id.is_not(None)), 1)))
    joined = invitation.outerjoin(answer, _a.id == _i.id)
    rows = await read.all(
        select(_i.name, reached.label("reached"), func.count(_a.id).label("answered"))
        .select_from(joined)
        .where(_i.purpose == "survey", _i.history.is_(False))
        .group_by(_i.name)
    )
    return {row.name: (row.reached, row.answered) for row in rows}


async def scores(read: Read, since: datetime | None) -> Sequence[Row[Any]]:
    """How often each score was given: survey, kind, whether imported, score, number."""
    keys = (_a.survey, _a.survey_kind, _a.imported, _a.score)
    found = select(*keys, func.count().label("number")).group_by(*keys).order_by(*keys)
    return await read.all(found if since is None else found.where(_a.at >= since))


async def answers(read: Read, survey: str, before: Place | None, limit: int) -> Sequence[Row[Any]]:
    """One survey's answers, the latest first."""
    return await _latest(read, answer, select(answer).where(_a.survey == survey), before, limit)


async def notes(read: Read, kind: str | None, before: Place | None, limit: int) -> Sequence[Row[Any]]:
    """What was not done, the latest first."""
    found = select(note)
    return await _latest(read, note, found if kind is None else found.where(note.c.kind == kind), before, limit)


async def _latest(read: Read, table: Table, found: Select[Any], before: Place | None, limit: int) -> Sequence[Row[Any]]:
    c = table.c
    if before is not None:
        at, name = before
        found = found.where(or_(c.at < at, and_(c.at == at, c.id < name)))
    return await read.all(found.order_by(c.at.desc(), c.id.desc()).limit(limit))


async def referrals(read: Read, status: str | None, after: str, limit: int) -> list[tuple[Referral, str | None]]:
    """Referrals by id, each with the account that gave the code."""
    c = referral.c
    found = select(c.body, c.referrer).where(c.id > after).order_by(c.id).limit(limit)
    rows = await read.all(found if status is None else found.where(c.status == status))
    return [(msgspec.msgpack.decode(row.body, type=Referral), row.referrer) for row in rows]


async def rewards_of(read: Read, names: Collection[str]) -> dict[str, list[Reward]]:
    """The rewards of these referrals, the referrer's first."""
    found: dict[str, list[Reward]] = {name: [] for name in names}
    for row in await read.among(select(reward.c.referral, reward.c.body), reward.c.referral, names):
        found[row.referral].append(msgspec.msgpack.decode(row.body, type=Reward))
    return {name: sorted(some, key=lambda one: one.side, reverse=True) for name, some in found.items()}


async def advocates(read: Read, after: str, limit: int) -> list[tuple[Code, dict[str, int]]]:
    """Codes that somebody holds, by code, and how many referrals of each status came with each."""
    held = select(code.c.body).where(code.c.code > after, code.c.account.is_not(None))
    rows = await read.all(held.order_by(code.c.code).limit(limit))
    codes = [msgspec.msgpack.decode(row.body, type=Code) for row in rows]
    counted = select(referral.c.code, referral.c.status, func.count().label("number"))
    brought: dict[str, dict[str, int]] = {one.code: {} for one in codes}
    grouped = counted.group_by(referral.c.code, referral.c.status)
    for row in await read.among(grouped, referral.c.code, brought):
        brought[row.code][row.status] = row.number
    return [(one, brought[one.code]) for one in codes]


async def asks(read: Read) -> dict[str, int]:
    """How many were asked to refer others, by what became of it."""
    outcome = func.coalesce(_i.outcome, "open")
    found = select(outcome.label("outcome"), func.count().label("number")).where(_i.purpose == "referral")
    return {row.outcome: row.number for row in await read.all(found.group_by(outcome))}


async def entries(read: Read, after: Sequence[str] | None, limit: int) -> Sequence[Row[Any]]:
    """Lines of the ledger, a transaction's together."""
    found = select(ledger_entry)
    if after is not None:
        transaction, account = after
        later = and_(_l.transaction == transaction, _l.account > account)
        found = found.where(or_(_l.transaction > transaction, later))
    return await read.all(found.order_by(_l.transaction, _l.account).limit(limit))


async def balances(read: Read) -> Sequence[Row[Any]]:
    """What stands on each account of the ledger, in each currency."""
    keys = (_l.currency, _l.account)
    return await read.all(select(*keys, func.sum(_l.amount).label("amount")).group_by(*keys).order_by(*keys))
