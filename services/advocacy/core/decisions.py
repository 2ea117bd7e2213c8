"""Decisions: the rows and messages that functions of the core return beside the new state of an account."""

from datetime import datetime
from typing import Literal, get_args

import msgspec

from services.advocacy.core.account import Account
from services.advocacy.core.ledger import Booking
from services.advocacy.core.referral import Code, Referral
from shared.contracts.advocacy import (
    AdvocateOptedIn,
    AskStatus,
    NeverAskRequested,
    ReferralConverted,
    RewardBooked,
    SurveyAnswered,
)
from shared.contracts.evidence import Value
from shared.contracts.outreach import OutreachClass, OutreachStatus
from shared.machine import StatusMachine

Purpose = Literal["survey", "referral"]
"""What a person is invited to; `invitations.py` has the descriptor of each."""


class DecisionBase(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """What every decision says. `history`: it belongs to an imported past; nothing of it ever reaches a person."""

    account: str
    at: datetime
    history: bool = False


class Invitation(DecisionBase, frozen=True, kw_only=True):
    """Ask this person. It becomes an OutreachRequested with a link.

    `name` is the survey's, or `referral`. `cause` says in words what started it, `definition` is the version of its file.
    With a `code` the mail is one to pass on: its link is the code's, which anybody may open. Else the link is the signed
    page of this person alone. `behind` is the `seq` of the lifecycle message that it was decided after.
    """

    id: str
    purpose: Purpose
    name: str
    user: str
    play: str
    outreach_class: OutreachClass
    closes_at: datetime
    cause: str
    definition: str
    values: dict[str, Value] = {}
    code: str = ""
    behind: int = 0


class SurveyWithheld(DecisionBase, frozen=True, kw_only=True):
    """A survey was due and nobody was asked, for this reason."""

    name: str
    cause: str
    reason: str


class InvitationClosed(DecisionBase, frozen=True, kw_only=True):
    """An invitation to refer others was accepted, declined or withdrawn: its page says so from now on."""

    id: str
    status: AskStatus
    reason: str


class DeliveryReported(DecisionBase, frozen=True, kw_only=True):
    """What notify did with an invitation: only what was sent counts towards a response rate."""

    id: str
    status: OutreachStatus
    reason: str = ""


class Answer(DecisionBase, frozen=True, kw_only=True):
    """What a person answered, the latest version. The id is the invitation's: one row for each occurrence.

    An `imported` one came as a usage event and is not published once more. `stage` is the account's at that time.
    """

    id: str
    user: str
    survey: str
    survey_kind: str
    score: int
    comment: str = ""
    revision: int = 1
    stage: str = ""
    imported: bool = False


class FactRejected(DecisionBase, frozen=True, kw_only=True):
    """A usage event that cannot be used: an answer off the scale, a sign-up without a code."""

    fact: str
    event: str
    reason: str


DELIVERY_REPORT: StatusMachine[OutreachStatus] = StatusMachine(
    "reported delivery",
    get_args(OutreachStatus),
    {status: () if status == "sent" else get_args(OutreachStatus) for status in get_args(OutreachStatus)},
)
"""An invitation that was sent stays sent; any other report may follow any other one."""


class ReversalRequired(DecisionBase, frozen=True, kw_only=True):
    """The money of this referral went back: its rewards that are not yet paid must be reversed."""

    referral: str
    reason: str


class ReviewRequired(DecisionBase, frozen=True, kw_only=True):
    """The rewards of this referral stay pending until a person approves them."""

    referral: str
    reason: str


Published = SurveyAnswered | AdvocateOptedIn | NeverAskRequested | ReferralConverted | RewardBooked
"""Decisions that are messages."""

Decision = (
    Invitation
    | SurveyWithheld
    | InvitationClosed
    | DeliveryReported
    | Answer
    | FactRejected
    | Code
    | Referral
    | SurveyAnswered
    | AdvocateOptedIn
    | NeverAskRequested
)
"""What is decided about one account."""

ReferralDecision = Booking | ReversalRequired | ReviewRequired | ReferralConverted | RewardBooked
"""What is decided about a referral, of which two accounts are parts."""

AccountChange = tuple[Account, list[Decision]]
"""The account as it is now, and the decisions on the way there."""
