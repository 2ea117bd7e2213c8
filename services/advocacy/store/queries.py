"""Queries for REST: each list in an order that stays while rows come and go."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Row, Select, Table, and_, case, func, literal, or_, select

from services.advocacy.core.decisions import Answer
from services.advocacy.core.ledger import Reward
from services.advocacy.core.referral import Code, Referral
from services.advocacy.store.invitations import answer_of
from services.advocacy.store.referrals import CODES, REFERRALS, REWARDS
from services.advocacy.tables import answer, code, invitation, ledger_entry, note, referral, reward
from shared.contracts.advocacy import NoteKind, ReferralStatus, RewardStatus
from shared.db.keyset import in_order
from shared.db.protocol import Read

_i, _a, _l, _w = invitation.c, answer.c, ledger_entry.c, reward.c
Position = tuple[datetime, str]
"""Time and id of the row that a page starts after."""


class SentAndAnswered(NamedTuple):
    """How many invitations of a survey were sent, and how many of these were answered."""

    sent: int = 0
    answered: int = 0


class ScoreCount(NamedTuple):
    """How often one score was given to a survey."""

    survey: str
    survey_kind: str
    imported: bool
    score: int
    number: int


class Note(NamedTuple):
    """Something that was not done."""

    id: str
    account: str
    at: datetime
    kind: NoteKind
    about: str
    reason: str
    history: bool


class LedgerLine(NamedTuple):
    """One line of the ledger. `rewarded` is the account that its reward is for, on this side of the referral."""

    transaction: str
    account: str
    reward: str
    status: RewardStatus
    at: datetime
    amount: int
    currency: str
    rewarded: str | None
    side: str | None
    history: bool | None


class LedgerBalance(NamedTuple):
    """What a ledger account amounts to in one currency."""

    currency: str
    account: str
    amount: int


async def sent_and_answered(read: Read) -> dict[str, SentAndAnswered]:
    """The figures of each survey. An answer proves that its invitation arrived, whatever was reported."""
    sent = func.count(case((or_(_i.delivery_status == "sent", _a.id.is_not(None)), 1)))
    joined = invitation.outerjoin(answer, _a.id == _i.id)
    rows = await read.all(
        select(_i.name, sent.label("sent"), func.count(_a.id).label("answered"))
        .select_from(joined)
        .where(_i.purpose == "survey", _i.history.is_(False))
        .group_by(_i.name)
    )
    return {row.name: SentAndAnswered(row.sent, row.answered) for row in rows}


async def score_counts(read: Read, since: datetime | None) -> list[ScoreCount]:
    """How often each score was given, by survey, kind, origin and score."""
    keys = (_a.survey, _a.survey_kind, _a.imported, _a.score)
    found = select(*keys, func.count().label("number")).group_by(*keys).order_by(*keys)
    rows = await read.all(found if since is None else found.where(_a.at >= since))
    return [ScoreCount._make(row) for row in rows]


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
ANSWER_SORTS: Mapping[str, ColumnElement[Any]] = {"at": _a.at, "score": _a.score, "account": _a.account_id}
"""What answers may be sorted by."""
REFERRAL_SORTS: Mapping[str, ColumnElement[Any]] = {
    "id": referral.c.id,
    "account": referral.c.account_id,
    "code": referral.c.code,
    "status": referral.c.status,
    "signed_up_at": func.coalesce(referral.c.signed_up_at, literal(_LONG_AGO, referral.c.signed_up_at.type)),
}
"""What referrals may be sorted by."""
ADVOCATE_SORTS: Mapping[str, ColumnElement[Any]] = {
    "code": code.c.code,
    "account": code.c.account_id,
    "issued_at": code.c.issued_at,
}
"""What people who hold a code may be sorted by."""
LEDGER_SORTS: Mapping[str, ColumnElement[Any]] = {
    "transaction": _l.transaction_id,
    "at": _l.at,
    "account": _l.ledger_account,
    "status": _l.status,
}
"""What lines of the ledger may be sorted by."""
_LINE_ID = _l.transaction_id.concat(" ").concat(_l.ledger_account)


class AnswerFilter(NamedTuple):
    """The answers a list shows: those that match every filter given. `text` stands in the comment or in the account's id."""

    survey: str
    account: str | None = None
    text: str | None = None
    since: datetime | None = None


async def answers(
    read: Read,
    wanted: AnswerFilter,
    by: str,
    after: tuple[Any, str] | None,
    limit: int,
    *,
    descending: bool,
) -> list[Answer]:
    """One survey's answers, in the order of one of ANSWER_SORTS, then of their ids; those behind this value and id."""
    found = select(answer).where(*_of_answers(wanted))
    rows = await read.all(in_order(found, ANSWER_SORTS[by], _a.id, after, descending=descending).limit(limit))
    return [answer_of(row) for row in rows]


async def count_answers(read: Read, wanted: AnswerFilter) -> int:
    """How many match."""
    return int(await read.scalar(select(func.count()).select_from(answer).where(*_of_answers(wanted))))


def _of_answers(wanted: AnswerFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [_a.survey == wanted.survey]
    if wanted.account is not None:
        found.append(_a.account_id == wanted.account)
    if wanted.text is not None:
        found.append(_contains(wanted.text, _a.comment, _a.account_id))
    if wanted.since is not None:
        found.append(_a.at >= wanted.since)
    return found


def _contains(text: str, *columns: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(*(func.lower(column).contains(text.lower(), autoescape=True) for column in columns))


async def notes(
    read: Read, kind: NoteKind | None, before: Position | None, limit: int, since: datetime | None = None
) -> list[Note]:
    """The notes, the latest first."""
    c = note.c
    found = select(c.id, c.account_id, c.at, c.kind, c.about, c.reason, c.history)
    if since is not None:
        found = found.where(c.at >= since)
    rows = await _latest(read, note, found if kind is None else found.where(c.kind == kind), before, limit)
    return [Note._make(row) for row in rows]


async def _latest(
    read: Read, table: Table, found: Select[Any], before: Position | None, limit: int
) -> Sequence[Row[Any]]:
    c = table.c
    if before is not None:
        at, row_id = before
        found = found.where(or_(c.at < at, and_(c.at == at, c.id < row_id)))
    return await read.all(found.order_by(c.at.desc(), c.id.desc()).limit(limit))


class ReferralFilter(NamedTuple):
    """The referrals a list shows. `text` stands in the code, or in the id of the referred account or of the referrer.

    `since` is when it signed up, at the earliest.
    """

    status: ReferralStatus | None = None
    account: str | None = None
    text: str | None = None
    since: datetime | None = None


async def referrals(
    read: Read,
    wanted: ReferralFilter,
    by: str,
    after: tuple[Any, str] | None,
    limit: int,
    *,
    descending: bool,
) -> list[tuple[Referral, str | None]]:
    """Referrals in the order of one of REFERRAL_SORTS, then of their ids, each with the referrer's account."""
    c = referral.c
    found = select(c.body, c.referrer_id).where(*_of_referrals(wanted))
    rows = await read.all(in_order(found, REFERRAL_SORTS[by], c.id, after, descending=descending).limit(limit))
    return [(REFERRALS.decode(row.body), row.referrer_id) for row in rows]


async def count_referrals(read: Read, wanted: ReferralFilter) -> int:
    """How many match."""
    return int(await read.scalar(select(func.count()).select_from(referral).where(*_of_referrals(wanted))))


def _of_referrals(wanted: ReferralFilter) -> list[ColumnElement[bool]]:
    c, found = referral.c, list[ColumnElement[bool]]()
    if wanted.status is not None:
        found.append(c.status == wanted.status)
    if wanted.account is not None:
        found.append(or_(c.account_id == wanted.account, c.referrer_id == wanted.account))
    if wanted.text is not None:
        found.append(_contains(wanted.text, c.account_id, c.code, func.coalesce(c.referrer_id, "")))
    if wanted.since is not None:
        found.append(c.signed_up_at >= wanted.since)
    return found


async def rewards_of(read: Read, referral_ids: Collection[str]) -> dict[str, list[Reward]]:
    """The rewards of these referrals, the referrer's first."""
    found: dict[str, list[Reward]] = {referral_id: [] for referral_id in referral_ids}
    for row in await read.among(select(reward.c.referral_id, reward.c.body), reward.c.referral_id, referral_ids):
        found[row.referral_id].append(REWARDS.decode(row.body))
    return {each: sorted(rewards, key=lambda reward: reward.side, reverse=True) for each, rewards in found.items()}


class AdvocateFilter(NamedTuple):
    """The people a list shows. `text` stands in the code, or in the id of the account or of the person.

    `since` is when they got the code, at the earliest.
    """

    account: str | None = None
    text: str | None = None
    since: datetime | None = None


async def advocates(
    read: Read,
    wanted: AdvocateFilter,
    by: str,
    after: tuple[Any, str] | None,
    limit: int,
    *,
    descending: bool,
) -> list[tuple[Code, dict[str, int]]]:
    """Codes that somebody holds, in the order of one of ADVOCATE_SORTS, then of the codes, and how many referrals of each
    status each of them brought.
    """
    found = select(code.c.body).where(*_of_advocates(wanted))
    ordered = in_order(found, ADVOCATE_SORTS[by], code.c.code, after, descending=descending)
    codes = [CODES.decode(row.body) for row in await read.all(ordered.limit(limit))]
    counts = select(referral.c.code, referral.c.status, func.count().label("number"))
    brought: dict[str, dict[str, int]] = {each.code: {} for each in codes}
    for row in await read.among(counts.group_by(referral.c.code, referral.c.status), referral.c.code, brought):
        brought[row.code][row.status] = row.number
    return [(each, brought[each.code]) for each in codes]


async def count_advocates(read: Read, wanted: AdvocateFilter) -> int:
    """How many match."""
    return int(await read.scalar(select(func.count()).select_from(code).where(*_of_advocates(wanted))))


def _of_advocates(wanted: AdvocateFilter) -> list[ColumnElement[bool]]:
    c = code.c
    found: list[ColumnElement[bool]] = [c.account_id.is_not(None)]
    if wanted.account is not None:
        found.append(c.account_id == wanted.account)
    if wanted.text is not None:
        found.append(_contains(wanted.text, c.code, c.account_id, func.coalesce(c.user_id, "")))
    if wanted.since is not None:
        found.append(c.issued_at >= wanted.since)
    return found


async def count_asks(read: Read) -> dict[str, int]:
    """How many people were asked to refer others, by status."""
    status = func.coalesce(_i.ask_status, "open")
    found = select(status.label("status"), func.count().label("number")).where(_i.purpose == "referral")
    return {row.status: row.number for row in await read.all(found.group_by(status))}


class LedgerFilter(NamedTuple):
    """The lines of the ledger a list shows. `text` stands in the id of the transaction, the reward, the ledger's account
    or the account that is rewarded.
    """

    account: str | None = None
    status: RewardStatus | None = None
    text: str | None = None
    since: datetime | None = None


async def ledger_lines(
    read: Read,
    wanted: LedgerFilter,
    by: str,
    after: tuple[Any, str] | None,
    limit: int,
    *,
    descending: bool,
) -> list[LedgerLine]:
    """Lines in the order of one of LEDGER_SORTS, then of their ids (`ledger_line_id`)."""
    line = (_l.transaction_id, _l.ledger_account, _l.reward_id, _l.status, _l.at, _l.amount, _l.currency)
    found = select(*line, _w.account_id, _w.side, _w.history).select_from(_lines())
    ordered = in_order(found.where(*_of_lines(wanted)), LEDGER_SORTS[by], _LINE_ID, after, descending=descending)
    return [LedgerLine._make(row) for row in await read.all(ordered.limit(limit))]


def ledger_line_id(line: LedgerLine) -> str:
    """What tells a line from every other."""
    return f"{line.transaction} {line.account}"


async def count_ledger_lines(read: Read, wanted: LedgerFilter) -> int:
    """How many match."""
    return int(await read.scalar(select(func.count()).select_from(_lines()).where(*_of_lines(wanted))))


def _lines() -> FromClause:
    return ledger_entry.outerjoin(reward, _w.id == _l.reward_id)


def _of_lines(wanted: LedgerFilter) -> list[ColumnElement[bool]]:
    exact = ((_l.ledger_account, wanted.account), (_l.status, wanted.status))
    found: list[ColumnElement[bool]] = [column == value for column, value in exact if value is not None]
    if wanted.text is not None:
        found.append(
            _contains(wanted.text, _l.transaction_id, _l.reward_id, _l.ledger_account, func.coalesce(_w.account_id, ""))
        )
    if wanted.since is not None:
        found.append(_l.at >= wanted.since)
    return found


async def ledger_balances(read: Read) -> list[LedgerBalance]:
    """The balance of each ledger account in each currency."""
    keys = (_l.currency, _l.ledger_account)
    found = select(*keys, func.sum(_l.amount).label("amount")).group_by(*keys).order_by(*keys)
    return [LedgerBalance._make(row) for row in await read.all(found)]
