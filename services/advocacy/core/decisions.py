"""What may be decided? Rows for the shell to keep, and messages for it to publish."""

from datetime import datetime
from typing import Literal

import msgspec

from services.advocacy.core.account import Account
from services.advocacy.core.ledger import Booking
from services.advocacy.core.referral import Code, Referral
from shared.contracts.advocacy import AdvocateOptedIn, ReferralConverted, RewardBooked, SurveyAnswered
from shared.contracts.evidence import Value
from shared.contracts.outreach import OutreachClass, Status


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every row says. `history`: it belongs to an imported past; nothing of it ever reaches a person."""

    account: str
    at: datetime
    history: bool = False


class Invitation(Row, frozen=True, kw_only=True):
    """Ask this person. Becomes an OutreachRequested once the shell has signed a link to its page (`requests.py`).

    `name` is the survey's, or `referral`. `cause` says what started it in words, `definition` under which version.
    """

    id: str
    purpose: Literal["survey", "referral"]
    name: str
    user: str
    play: str
    outreach_class: OutreachClass
    closes_at: datetime
    cause: str
    definition: str
    values: dict[str, Value] = {}


class Withheld(Row, frozen=True, kw_only=True):
    """A survey was due and nobody was asked, for this reason."""

    name: str
    cause: str
    reason: str


class InvitationClosed(Row, frozen=True, kw_only=True):
    """An invitation is settled before its time: its page says so from now on."""

    id: str
    status: Literal["accepted", "declined", "withdrawn"]
    reason: str


class Delivered(Row, frozen=True, kw_only=True):
    """What notify made of an invitation: only what was sent counts towards a response rate."""

    id: str
    status: Status
    reason: str = ""


class Answer(Row, frozen=True, kw_only=True):
    """What a person answered, the latest version. The id is the invitation's: one row for each occurrence.

    An `imported` one came as a usage event and is not published again. `stage` is where the account stood.
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


class FactRefused(Row, frozen=True, kw_only=True):
    """A usage event told something we cannot use."""

    fact: str
    event: str
    reason: str


class ReversalDue(Row, frozen=True, kw_only=True):
    """The money of this referral went back: its rewards that are not yet paid must be reversed."""

    referral: str
    reason: str


Published = SurveyAnswered | AdvocateOptedIn | ReferralConverted | RewardBooked

Decision = (
    Invitation
    | Withheld
    | InvitationClosed
    | Delivered
    | Answer
    | FactRefused
    | Code
    | Referral
    | Booking
    | ReversalDue
    | Published
)

Step = tuple[Account, list[Decision]]
"""What a function of the core gives back: the account as it is now, and what follows."""
