"""Invitations: what a person can be invited to, the signed address of each page, and the request to notify.

To add an ask, write its class, name its purpose in `decisions.Purpose` and give it a case in `invitation_kind`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import ClassVar, assert_never, get_args

from services.advocacy.core.account import Account
from services.advocacy.core.decisions import Invitation, Purpose
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.errors import Rejected
from shared.contracts.advocacy import OutreachRequested
from shared.ids import derived
from shared.links import BadLink, Links


class InvitationKind(ABC):
    """One thing that a person can be invited to. A link is valid until the invitation closes and `link_grace` longer."""

    link_grace: ClassVar[timedelta] = timedelta()

    @property
    @abstractmethod
    def page(self) -> str:
        """The path of its page below `/advocacy/`."""

    @abstractmethod
    def sent_by_play(
        self, account: Account, user: str, play: str, definitions: Definitions
    ) -> Iterator[tuple[datetime, str]]:
        """When this play last invited this person, and the invitation's id."""


class SurveyInvitation(InvitationKind):
    """To answer a survey."""

    page = "s"

    def sent_by_play(
        self, account: Account, user: str, play: str, definitions: Definitions
    ) -> Iterator[tuple[datetime, str]]:
        surveys = {survey.name for survey in definitions.surveys if survey.play == play}
        for survey, invitation in account.last_invitations.get(user, {}).items():
            if survey in surveys:
                yield invitation.at, invitation.id


class ReferralInvitation(InvitationKind):
    """To refer others. The page shows the advocate's code for a year; whether the ask is still open is in its row."""

    page = "r"
    link_grace = timedelta(days=365)

    def sent_by_play(
        self, account: Account, user: str, play: str, definitions: Definitions
    ) -> Iterator[tuple[datetime, str]]:
        if play == definitions.referrals.ask.play:
            yield from ((ask.at, ask.id) for ask in account.asks if ask.user == user)


_SURVEY, _REFERRAL = SurveyInvitation(), ReferralInvitation()


def invitation_kind(purpose: Purpose) -> InvitationKind:
    """The descriptor of a purpose."""
    match purpose:
        case "survey":
            return _SURVEY
        case "referral":
            return _REFERRAL
        case _:
            assert_never(purpose)


def latest_invitation(account: Account, user: str, play: str, definitions: Definitions) -> str | None:
    """The id of the latest invitation that this play sent to this person; None where there is none."""
    kinds = [invitation_kind(purpose) for purpose in get_args(Purpose)]
    sent = [found for kind in kinds for found in kind.sent_by_play(account, user, play, definitions)]
    return max(sent)[1] if sent else None


def sign_token(links: Links, purpose: str, invitation_id: str, until: datetime) -> str:
    """The token of an invitation's page."""
    return links.sign(purpose, {"invitation": invitation_id}, until)


def page_address(public: str, links: Links, invitation: Invitation) -> str:
    """The address of the invitation's page."""
    kind = invitation_kind(invitation.purpose)
    until = invitation.closes_at + kind.link_grace
    return f"{public}/advocacy/{kind.page}/{sign_token(links, invitation.purpose, invitation.id, until)}"


def invitation_of_token(links: Links, purpose: Purpose, token: str, now: datetime) -> str:
    """The invitation's id. Raises Rejected: `unknown` for a link we did not sign, `closed` for one that expired."""
    try:
        return links.read(purpose, token, now)["invitation"]
    except BadLink as error:
        if error.expired:
            raise Rejected("closed", "This link has expired.") from None
        incomplete = "This address is not one of ours: perhaps a part of it was lost on the way."
        raise Rejected("unknown", incomplete) from None


def outreach_request(invitation: Invitation, link: str, decided_at: datetime) -> OutreachRequested:
    """The request to notify for this invitation."""
    return OutreachRequested(
        id=derived("outreach_requested", invitation.id),
        account=invitation.account,
        at=invitation.at,
        decided_at=decided_at,
        history=invitation.history,
        user=invitation.user,
        play=invitation.play,
        outreach_class=invitation.outreach_class,
        link=link,
        values=invitation.values,
        expires_at=invitation.closes_at,
    )
