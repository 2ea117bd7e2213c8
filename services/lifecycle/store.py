"""Queries of lifecycle: accounts in lists, the decisions about an account, and visits to stages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, get_args

from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_

from services.lifecycle.core.funnel import StageVisit
from services.lifecycle.tables import account, decision, stage_visit
from shared.contracts.lifecycle import LifecycleMessage
from shared.db.protocol import Read
from shared.service.retention import RetentionPolicy


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


class AccountFilter(NamedTuple):
    """Which accounts a list shows: those that match every filter given.

    `text` stands in the name or the id, in whatever case; `ids` are the accounts themselves.
    """

    stage: str | None = None
    band: str | None = None
    flag: str | None = None
    text: str | None = None
    ids: Sequence[str] | None = None


class AccountCounts(NamedTuple):
    """How many accounts there are, in each stage, in each health band, and with each flag."""

    accounts: int
    stages: dict[str, int]
    bands: dict[str, int]
    flags: dict[str, int]


_c = account.c
_LISTED = (_c.id, _c.name, _c.stage, _c.entered_at, _c.flags, _c.band, _c.score, _c.clock)
_UNKNOWN_SCORE = -1.0
SORTS: Mapping[str, ColumnElement[Any]] = {
    "id": _c.id,
    "name": func.lower(_c.name),
    "score": func.coalesce(_c.score, _UNKNOWN_SCORE),
    "entered_at": _c.entered_at,
}
"""What a list may be sorted by. An unknown score comes before the lowest: nobody has looked at it yet."""


def sort_value(listed: ListedAccount, by: str) -> Any:
    """What this account is sorted by, as `list_accounts` takes it for `after`."""
    value = getattr(listed, by)
    if by == "name":
        return value.lower()
    return _UNKNOWN_SCORE if value is None else value


async def list_accounts(
    read: Read,
    wanted: AccountFilter,
    limit: int,
    by: str = "id",
    after: tuple[Any, str] | None = None,
    *,
    descending: bool = False,
) -> list[ListedAccount]:
    """Accounts in the order of one of SORTS, then of their ids; those behind this value and id."""
    of, found = SORTS[by], _matching(wanted)
    if after is not None:
        here, last = tuple_(of, _c.id), tuple_(literal(after[0], of.type), literal(after[1]))
        found = found.where(here < last if descending else here > last)
    order = (of.desc(), _c.id.desc()) if descending else (of, _c.id)
    rows = await read.all(found.order_by(*order).limit(limit))
    return [ListedAccount._make(row)._replace(flags=row.flags.split()) for row in rows]


def _matching(wanted: AccountFilter) -> Select[Any]:
    found: Select[Any] = select(*_LISTED)
    if wanted.stage is not None:
        found = found.where(_c.stage == wanted.stage)
    if wanted.band is not None:
        found = found.where(_c.band == wanted.band)
    if wanted.flag is not None:
        found = found.where(_c.flags.contains(f" {wanted.flag} ", autoescape=True))
    if wanted.text is not None:
        text = wanted.text.lower()
        of_name, of_id = (func.lower(column).contains(text, autoescape=True) for column in (_c.name, _c.id))
        found = found.where(of_name | of_id)
    return found if wanted.ids is None else found.where(_c.id.in_(wanted.ids))


async def count_by_column(read: Read) -> AccountCounts:
    """The counts of all accounts."""
    columns = (_c.stage, _c.band, _c.flags)
    rows = await read.all(select(*columns, func.count().label("number")).group_by(*columns))
    stages, bands, flags = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        stages[row.stage] += row.number
        bands[row.band] += row.number
        flags.update(dict.fromkeys(row.flags.split(), row.number))
    return AccountCounts(stages.total(), stages, bands, flags)


def expired_decisions(days: int | None) -> list[RetentionPolicy]:
    """Decisions that are older than so many days of their accounts' time; None keeps them. By kind: so they are indexed."""
    c = decision.c
    kinds = [kind.__struct_config__.tag for kind in get_args(LifecycleMessage)]
    return [] if days is None else [RetentionPolicy(decision, timedelta(days=days), [c.at], [c.kind.in_(kinds)])]


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
