"""`advocacy.v1`: requests to notify, answers, opt-ins, referrals and rewards. Published by advocacy, keyed by account."""

from datetime import datetime
from typing import Literal

import msgspec

from shared.contracts.evidence import Value
from shared.contracts.outreach import OutreachClass


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """What every advocacy message carries."""

    id: str
    account: str
    at: datetime
    decided_at: datetime
    history: bool = False


class OutreachRequested(Message, frozen=True, kw_only=True, tag="outreach_requested"):
    """Please write to this person: notify owns consent, budget and channels, and reports back on `outreach.v1`.

    `play` names a play of notify with `on: request`; `values` fill its template, `link` is the signed page.
    After `expires_at` it must not be sent any more. `behind` is the `seq` of the latest lifecycle message of the account that
    advocacy had read when it decided this: notify takes the request behind that one. 0: an earlier version did not say.
    """

    user: str
    play: str
    outreach_class: OutreachClass
    link: str
    values: dict[str, Value] = {}
    expires_at: datetime | None = None
    behind: int = 0


class HistoryFollowed(Message, frozen=True, kw_only=True, tag="history_followed"):
    """Of an account that replays a history: everything that its lifecycle messages up to `seq` lead to is decided and published.

    Notify takes no further message of the account before. At most one an account and batch, and none where the wall clock drives.
    """

    seq: int


class SurveyAnswered(Message, frozen=True, kw_only=True, tag="survey_answered"):
    """A person answered a hosted survey. `score` is 0 to 10 for NPS."""

    user: str
    survey: str
    survey_kind: str
    score: float
    comment: str = ""


class AdvocateOptedIn(Message, frozen=True, kw_only=True, tag="advocate_opted_in"):
    """A person accepted to refer others and holds a code."""

    user: str
    code: str


class NeverAskRequested(Message, frozen=True, kw_only=True, tag="never_ask_requested"):
    """A person wants to be asked for no recommendation any more, of whatever kind: notify sends them nothing of this class."""

    user: str
    outreach_class: OutreachClass


class ReferralConverted(Message, frozen=True, kw_only=True, tag="referral_converted"):
    """An account that signed up with a code became a paying customer. `account` is the referrer's."""

    user: str
    referred_account: str
    code: str


class RewardBooked(Message, frozen=True, kw_only=True, tag="reward_booked"):
    """A pending reward stands in the ledger. `amount` is in minor units of `currency`."""

    reward: str
    referral: str
    amount: int
    currency: str


AdvocacyMessage = (
    OutreachRequested
    | HistoryFollowed
    | SurveyAnswered
    | AdvocateOptedIn
    | NeverAskRequested
    | ReferralConverted
    | RewardBooked
)

AskStatus = Literal["open", "accepted", "declined", "withdrawn"]
"""Of a request to refer others: withdrawn when the account's health or the person's score fell."""

ReferralStatus = Literal["waiting", "attributed", "refused", "converted", "reversed"]
"""Of a referred account: the code is unknown, it signed up, a fraud rule holds, it paid, the money went back."""

RewardStatus = Literal["pending", "held", "payable", "paid", "reversed"]
"""Of one side's reward: under review, within the refund period, due, paid out, taken back."""

NoteKind = Literal["survey_withheld", "fact_refused", "code_taken", "paid_already", "reward_in_review"]
"""A survey nobody could be asked; an event that cannot be used; a code somebody else holds; a reversal after the payout;
a reward that waits for a person.
"""
