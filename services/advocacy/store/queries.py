"""Queries for REST: each list in an order that stays while rows come and go."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, Table, and_, case, func, or_, select

from services.advocacy.core.decisions import Answer
from services.advocacy.core.ledger import Reward
from services.advocacy.core.referral import Code, Referral
from services.advocacy.store.invitations import answer_of
from services.advocacy.store.referrals import CODES, REFERRALS
from services.advocacy.store.rewards import REWARDS
from services.advocacy.tables import answer, code, invitation, ledger_entry, note, referral, reward
from shared.contracts.advocacy import NoteKind, ReferralStatus, RewardStatus
from shared.db.keyset import in_order
from shared.db.protocol import Read

_i, _a, _l = invitation.c, answer.c, ledger_entry.c
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
    """One line of the ledger."""

    transaction: str
    account: str
    reward: str
    status: RewardStatus
    at: datetime
    amount: int
    currency: str


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


ANSWER_SORTS: Mapping[str, ColumnElement[Any]] = {"at": _a.at, "score": _a.score, "account": _a.account_id}
"""What answers may be sorted by."""
REFERRAL_SORTS: Mapping[str, ColumnElement[Any]] = {
    "id": referral.c.id,
    "account": referral.c.account_id,
    "code": referral.c.code,
    "status": referral.c.status,
}
"""What referrals may be sorted by."""


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
    """The referrals a list shows. `text` stands in the code, or in the id of the referred account or of the referrer."""

    status: ReferralStatus | None = None
    account: str | None = None
    text: str | None = None


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
    return found


async def rewards_of(read: Read, referral_ids: Collection[str]) -> dict[str, list[Reward]]:
    """The rewards of these referrals, the referrer's first."""
    found: dict[str, list[Reward]] = {referral_id: [] for referral_id in referral_ids}
    for row in await read.among(select(reward.c.referral_id, reward.c.body), reward.c.referral_id, referral_ids):
        found[row.referral_id].append(REWARDS.decode(row.body))
    return {each: sorted(rewards, key=lambda reward: reward.side, reverse=True) for each, rewards in found.items()}


async def advocates(read: Read, after: str, limit: int, text: str | None = None) -> list[tuple[Code, dict[str, int]]]:
    """Codes that somebody holds, by code, and how many referrals of each status each of them brought.

    `text` stands in the code, or in the id of the account or of the person.
    """
    found = select(code.c.body).where(code.c.code > after, *_of_advocates(text))
    rows = await read.all(found.order_by(code.c.code).limit(limit))
    codes = [CODES.decode(row.body) for row in rows]
    counts = select(referral.c.code, referral.c.status, func.count().label("number"))
    brought: dict[str, dict[str, int]] = {each.code: {} for each in codes}
    for row in await read.among(counts.group_by(referral.c.code, referral.c.status), referral.c.code, brought):
        brought[row.code][row.status] = row.number
    return [(each, brought[each.code]) for each in codes]


async def count_advocates(read: Read, text: str | None) -> int:
    """How many match."""
    return int(await read.scalar(select(func.count()).select_from(code).where(*_of_advocates(text))))


def _of_advocates(text: str | None) -> list[ColumnElement[bool]]:
    c = code.c
    held: list[ColumnElement[bool]] = [c.account_id.is_not(None)]
    return held if text is None else [*held, _contains(text, c.code, c.account_id, func.coalesce(c.user_id, ""))]


async def count_asks(read: Read) -> dict[str, int]:
    """How many people were asked to refer others, by status."""
    status = func.coalesce(_i.ask_status, "open")
    found = select(status.label("status"), func.count().label("number")).where(_i.purpose == "referral")
    return {row.status: row.number for row in await read.all(found.group_by(status))}


async def ledger_lines(read: Read, after: tuple[str, str] | None, limit: int) -> list[LedgerLine]:
    """Lines of the ledger, a transaction's together."""
    found = select(_l.transaction_id, _l.ledger_account, _l.reward_id, _l.status, _l.at, _l.amount, _l.currency)
    if after is not None:
        transaction, account = after
        later = and_(_l.transaction_id == transaction, _l.ledger_account > account)
        found = found.where(or_(_l.transaction_id > transaction, later))
    rows = await read.all(found.order_by(_l.transaction_id, _l.ledger_account).limit(limit))
    return [LedgerLine._make(row) for row in rows]


async def ledger_balances(read: Read) -> list[LedgerBalance]:
    """The balance of each ledger account in each currency."""
    keys = (_l.currency, _l.ledger_account)
    found = select(*keys, func.sum(_l.amount).label("amount")).group_by(*keys).order_by(*keys)
    return [LedgerBalance._make(row) for row in await read.all(found)]
