"""Models of the REST answers."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from services.advocacy.core.ledger import Side
from shared.contracts.advocacy import NoteKind, ReferralStatus, RewardStatus


class Figure(BaseModel):
    """A figure in percent (NPS: points) with its 95 % interval, and the number of answers (or sent surveys) behind it."""

    value: float
    low: float
    high: float
    n: int


class SurveyView(BaseModel):
    """One survey. `score` is NPS for kind nps, the satisfied share for csat; figures are null below five.

    `sent` and `answered` are invitations of our own, `imported` answers came as usage events; both count in `groups`
    and `score`. `response` is a Wilson interval, NPS a MOVER-Wilson one. `question` is null for a survey of another tool.
    """

    name: str
    kind: str
    question: str | None
    sent: int
    answered: int
    imported: int
    response: Figure | None
    score: Figure | None
    groups: dict[str, int]


class AnswerView(BaseModel):
    """One answer, its latest revision. `stage` is the account's at that time, `group` promoter, passive, detractor ..."""

    id: str
    account: str
    user: str
    score: int
    group: str
    comment: str
    at: datetime
    revision: int
    stage: str
    imported: bool


class RewardView(BaseModel):
    """What one side gets, in minor units. It moves pending, held, payable, paid; or is reversed."""

    id: str
    side: Side
    account: str
    user: str
    amount: int
    currency: str
    status: RewardStatus
    booked_at: datetime
    payable_at: datetime
    history: bool = False


class ReferralView(BaseModel):
    """One referred account. `referrer` is null while nobody holds the code; `reason` says why it does not count."""

    id: str
    status: ReferralStatus
    reason: str
    referrer: str | None
    referred: str
    code: str
    signed_up_at: datetime
    converted_at: datetime | None
    rewards: list[RewardView]


class AdvocateView(BaseModel):
    """Who holds a code, and how many accounts came with it, by status."""

    account: str
    user: str
    code: str
    issued_at: datetime
    imported: bool
    referrals: dict[str, int]


class EntryView(BaseModel):
    """One line of the ledger in minor units: a debit is positive, a credit negative.

    `rewarded` is the account that the reward is for, on this `side` of the referral; `history`: of an imported past, and never
    let out by itself.
    """

    transaction: str
    reward: str
    status: RewardStatus
    account: str
    amount: int
    currency: str
    at: datetime
    rewarded: str | None = None
    side: str | None = None
    history: bool | None = None


class Balance(BaseModel):
    """The balance of an account of the ledger."""

    account: str
    currency: str
    amount: int


class Ledger(BaseModel):
    """One page of the ledger's lines. `balances` and `sum` are of the whole ledger; the sum is zero.

    `total` is how many lines match, on all pages; null where nobody asked (`count=true`).
    """

    items: list[EntryView]
    next: str | None
    balances: list[Balance]
    sum: int
    total: int | None = None


class NoteView(BaseModel):
    """Something that was not done. `about` is the survey, the event, the code or the reward."""

    id: str
    account: str
    at: datetime
    kind: NoteKind
    about: str
    reason: str
    history: bool


Move = Literal["approve", "pay", "reverse"]
"""What an administrator may do with a reward."""
