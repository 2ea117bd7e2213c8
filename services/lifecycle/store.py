"""Queries of lifecycle: accounts in lists, the decisions about an account, visits to stages, and early feedback."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, get_args

import msgspec
from sqlalchemy import ColumnElement, bindparam, delete, func, literal, select, tuple_

from services.lifecycle.core.funnel import StageVisit
from services.lifecycle.tables import MAX_LISTED, account, account_note, decision, early_feedback, stage_visit
from shared.contracts.lifecycle import LifecycleMessage
from shared.contracts.usage import UsageEvent
from shared.db.keyset import in_order
from shared.db.protocol import Read, Tx
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
    owner: str | None
    plan: str | None
    renewal_at: datetime | None


class AccountsPage(NamedTuple):
    """A page of accounts. `sorted_by` are the last one's sort value and id, behind which the next page begins."""

    accounts: list[ListedAccount]
    sorted_by: tuple[Any, str] | None


class StoredDecision(NamedTuple):
    """A decision about an account: its number, and the message as published (JSON)."""

    seq: int
    body: bytes


NOBODY = ""
"""The owner of accounts that have none."""
DECISION_KINDS: tuple[str, ...] = tuple(kind.__struct_config__.tag for kind in get_args(LifecycleMessage))
"""Every kind of decision."""


class AccountFilter(NamedTuple):
    """Which accounts a list shows: those that match every filter given.

    `text` stands in the name or the id, in whatever case; `ids` are the accounts themselves. The owner NOBODY has those
    without one. `since` is when they entered their stage, at the earliest; renewals lie from the one to before the other.
    """

    stage: str | None = None
    band: str | None = None
    flag: str | None = None
    text: str | None = None
    ids: Sequence[str] | None = None
    owner: str | None = None
    plan: str | None = None
    since: datetime | None = None
    renewal_from: datetime | None = None
    renewal_before: datetime | None = None


class AccountCounts(NamedTuple):
    """How many accounts there are, in each stage, in each health band, with each flag; of each owner, on each plan.

    The most frequent owners and plans; those that have none are under NOBODY.
    """

    accounts: int
    stages: dict[str, int]
    bands: dict[str, int]
    flags: dict[str, int]
    owners: dict[str, int]
    plans: dict[str, int]


_c = account.c
_LISTED = (
    _c.id,
    _c.name,
    _c.stage,
    _c.entered_at,
    _c.flags,
    _c.band,
    _c.score,
    _c.clock,
    _c.owner,
    _c.plan,
    _c.renewal_at,
)
_UNKNOWN_SCORE, _BEHIND_EVERY_SCORE = -1.0, 1000.0
_NO_RENEWAL = datetime(9999, 1, 1, tzinfo=UTC)
_MOST_FREQUENT = 500
SORTS: Mapping[str, ColumnElement[Any]] = {
    "id": _c.id,
    "name": _c.search,
    "score": func.coalesce(_c.score, _UNKNOWN_SCORE),
    "known_score": func.coalesce(_c.score, _BEHIND_EVERY_SCORE),
    "entered_at": _c.entered_at,
    "owner": func.coalesce(_c.owner, NOBODY),
    "renewal_at": func.coalesce(_c.renewal_at, literal(_NO_RENEWAL, _c.renewal_at.type)),
}
"""What a list may be sorted by. By `score` an unknown one comes before the lowest: of accounts at risk, one that tells nothing
is looked at first. By `known_score` it comes last, whichever end begins.
"""
_FROM_THE_END = {"known_score": SORTS["score"]}


async def list_accounts(
    read: Read,
    wanted: AccountFilter,
    limit: int,
    by: str = "id",
    after: tuple[Any, str] | None = None,
    *,
    descending: bool = False,
) -> AccountsPage:
    """Accounts in the order of one of SORTS, then of their ids; those behind this value and id.

    The page is found in the index alone; of the table only its rows are read.
    """
    of = _FROM_THE_END.get(by, SORTS[by]) if descending else SORTS[by]
    found = select(_c.id, of.label("sorted_by")).where(*_conditions(wanted))
    page = await read.all(in_order(found, of, _c.id, after, descending=descending).limit(limit + 1))
    ids = [row.id for row in page[:limit]]
    rows = {row.id: row for row in await read.among(select(*_LISTED), _c.id, ids)}
    accounts = [ListedAccount._make(rows[of_id])._replace(flags=rows[of_id].flags.split()) for of_id in ids]
    return AccountsPage(accounts, (page[limit - 1].sorted_by, ids[-1]) if len(page) > limit else None)


async def count_accounts(read: Read, wanted: AccountFilter = AccountFilter()) -> int:  # noqa: B008  immutable
    """How many accounts match."""
    return int(await read.scalar(select(func.count()).select_from(account).where(*_conditions(wanted))))


def _conditions(wanted: AccountFilter) -> list[ColumnElement[bool]]:
    exact = ((_c.stage, wanted.stage), (_c.band, wanted.band), (_c.plan, wanted.plan))
    found: list[ColumnElement[bool]] = [column == value for column, value in exact if value is not None]
    if wanted.owner is not None:
        found.append(_c.owner.is_(None) if wanted.owner == NOBODY else _c.owner == wanted.owner[:MAX_LISTED])
    if wanted.flag is not None:
        found.append(_c.flags.contains(f" {wanted.flag} ", autoescape=True))
    if wanted.text is not None:
        in_id = func.lower(_c.id).contains(wanted.text.lower(), autoescape=True)
        found.append(_c.search.contains(wanted.text.casefold(), autoescape=True) | in_id)
    if wanted.ids is not None:
        found.append(_c.id.in_(wanted.ids))
    if wanted.since is not None:
        found.append(_c.entered_at >= wanted.since)
    if wanted.renewal_from is not None:
        found.append(_c.renewal_at >= wanted.renewal_from)
    if wanted.renewal_before is not None:
        found.append(_c.renewal_at < wanted.renewal_before)
    return found


async def count_by_column(read: Read, owner: str | None = None) -> AccountCounts:
    """The counts of all accounts, or of one owner's."""
    columns, conditions = (_c.stage, _c.band, _c.flags), _conditions(AccountFilter(owner=owner))
    rows = await read.all(select(*columns, func.count().label("number")).where(*conditions).group_by(*columns))
    stages, bands, flags = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        stages[row.stage] += row.number
        bands[row.band] += row.number
        flags.update(dict.fromkeys(row.flags.split(), row.number))
    owners, plans = [await _most_frequent(read, column, conditions) for column in (_c.owner, _c.plan)]
    return AccountCounts(stages.total(), stages, bands, flags, owners, plans)


async def _most_frequent(
    read: Read, column: ColumnElement[Any], conditions: Sequence[ColumnElement[bool]]
) -> dict[str, int]:
    number = func.count().label("number")
    counted = select(column.label("value"), number).where(*conditions).group_by(column)
    rows = await read.all(counted.order_by(number.desc(), column).limit(_MOST_FREQUENT))
    return {NOBODY if row.value is None else row.value: row.number for row in rows}


def expired_decisions(days: int | None) -> list[RetentionPolicy]:
    """Decisions that are older than so many days of their accounts' time; None keeps them. By kind: so they are indexed."""
    c = decision.c
    kinds = c.kind.in_(DECISION_KINDS)
    return [] if days is None else [RetentionPolicy(decision, timedelta(days=days), [c.at], [kinds])]


_EARLY = timedelta(days=30)


async def keep_early(tx: Tx, events: Sequence[UsageEvent], now: datetime) -> None:
    """Keep feedback of accounts that have not begun."""
    rows = [{"account_id": one.account, "id": one.id, "event": _encode(one), "kept_at": now} for one in events]
    await tx.insert_new(early_feedback, rows)


async def is_early_feedback_due(read: Read) -> bool:
    """Whether an account has begun that feedback was kept for."""
    begun = select(early_feedback.c.id).join(account, account.c.id == early_feedback.c.account_id)
    return await read.first(begun.limit(1)) is not None


async def take_early(tx: Tx, limit: int) -> list[UsageEvent]:
    """Feedback of accounts that are there by now, at most so much; it is kept no longer. What another process takes is left out."""
    c = early_feedback.c
    begun = select(c.account_id, c.id, c.event).join(account, account.c.id == c.account_id)
    rows = await tx.all(
        begun.order_by(c.account_id, c.id).limit(limit).with_for_update(of=early_feedback, skip_locked=True)
    )
    await tx.each(_TAKE_EARLY, [{"of": row.account_id, "one": row.id} for row in rows])
    return [_decode(row.event) for row in rows]


async def take_early_of(tx: Tx, kept: Iterable[tuple[str, str]]) -> list[UsageEvent]:
    """The same of these accounts and ids, where it is kept."""
    c, names = early_feedback.c, sorted(kept)
    these = tuple_(c.account_id, c.id).in_(names)
    rows = await tx.all(select(c.account_id, c.id, c.event).where(these).order_by(c.account_id, c.id))
    await tx.each(_TAKE_EARLY, [{"of": row.account_id, "one": row.id} for row in rows])
    return [_decode(row.event) for row in rows]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(UsageEvent).decode
_TAKE_EARLY = delete(early_feedback).where(
    early_feedback.c.account_id == bindparam("of"), early_feedback.c.id == bindparam("one")
)


def expired_early_feedback() -> RetentionPolicy:
    """Feedback of accounts that have not begun for a month: they never will."""
    return RetentionPolicy(early_feedback, _EARLY, [early_feedback.c.kept_at])


async def list_decisions(
    read: Read, account_id: str, kinds: Sequence[str], before: int | None, limit: int, since: datetime | None = None
) -> list[StoredDecision]:
    """The decisions about an account, the latest first; those of `since` and later, on the account's clock."""
    c = decision.c
    found = select(c.seq, c.body).where(c.account_id == account_id)
    if kinds:
        found = found.where(c.kind.in_(kinds))
    if before is not None:
        found = found.where(c.seq < before)
    if since is not None:
        found = found.where(c.at >= since)
    return [StoredDecision._make(row) for row in await read.all(found.order_by(c.seq.desc()).limit(limit))]


async def raised_flags(read: Read, ids: Collection[str]) -> dict[str, list[StoredDecision]]:
    """The decisions that raised or cleared flags of these accounts, by account in their order; kept ones only."""
    c = decision.c
    of_flags = c.kind.op("||")("") == "flag_changed"  # an expression: by the index of kinds all accounts' would be read
    found: dict[str, list[StoredDecision]] = {account_id: [] for account_id in ids}
    for row in await read.among(select(c.account_id, c.seq, c.body).where(of_flags), c.account_id, ids):
        found[row.account_id].append(StoredDecision(row.seq, row.body))
    return {account_id: sorted(rows) for account_id, rows in found.items()}


class AccountNote(NamedTuple):
    """What somebody wrote about an account. `author` is the name of the key that they used."""

    account_id: str
    at: datetime
    id: str
    author: str
    text: str


async def write_note(tx: Tx, note: AccountNote) -> None:
    """Add it, once."""
    await tx.insert_new(account_note, [note._asdict()])


async def list_notes(
    read: Read, account_id: str, before: tuple[datetime, str] | None, limit: int, since: datetime | None = None
) -> list[AccountNote]:
    """What was written about an account, the latest first; what is older than this one (its time and id), of `since` and later."""
    c = account_note.c
    found = select(account_note).where(c.account_id == account_id)
    if since is not None:
        found = found.where(c.at >= since)
    if before is not None:
        found = found.where(tuple_(c.at, c.id) < tuple_(literal(before[0], c.at.type), literal(before[1])))
    rows = await read.all(found.order_by(c.at.desc(), c.id.desc()).limit(limit))
    return [AccountNote(row.account_id, row.at, row.id, row.author, row.text) for row in rows]


async def stage_visits(read: Read) -> list[StageVisit]:
    """Every visit of every account to a stage, with the account's own clock, to which an open visit lasts so far."""
    c = stage_visit.c
    of_account = stage_visit.join(account, account.c.id == c.account_id)
    columns = (c.stage, c.entered_at, c.left_at, c.next_stage, account.c.clock)
    return [StageVisit._make(row) for row in await read.all(select(*columns).select_from(of_account))]
