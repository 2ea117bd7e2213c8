"""Invitations: what a person can be invited to, the addresses of our pages, and the request to notify.

To add an ask, write its class, name its purpose in `decisions.Purpose` and give it a case in `invitation_kind`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, assert_never, get_args

from services.advocacy.core.account import Account
from services.advocacy.core.decisions import Invitation, Purpose
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.errors import Rejected
from services.advocacy.core.reports import is_about
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.outreach import OutreachRecorded
from shared.links import BadLink, Links


class InvitationKind(ABC):
    """One thing that a person can be invited to. Links to its page are valid until the invitation closes, or `lasting`."""

    lasting: ClassVar[bool] = False

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
    """To refer others. The page is the advocate's own: it shows their code as long as the programme lives."""

    page = "r"
    lasting = True

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


def reported_invitation(account: Account, message: OutreachRecorded, definitions: Definitions) -> str | None:
    """The id of the invitation that a report is about: it says so itself. None where its play invites nobody for us.

    An earlier version did not say: then it is about the latest one that was made before the report.
    """
    if message.play not in {definitions.referrals.ask.play, *(survey.play for survey in definitions.surveys)}:
        return None
    kinds = [invitation_kind(purpose) for purpose in get_args(Purpose)]
    user = message.user or ""
    known = [found for kind in kinds for found in kind.sent_by_play(account, user, message.play, definitions)]
    if not message.occurrence:
        return max((found for found in known if found[0] <= message.at), default=(None, None))[1]
    about = (invitation_id for _, invitation_id in known if is_about(message, invitation_id))
    return next(about, message.occurrence)


def sign_token(links: Links, purpose: str, invitation_id: str, until: datetime | None) -> str:
    """The token of an invitation's page."""
    return links.sign(purpose, {"invitation": invitation_id}, until)


class Addresses:
    """The addresses of our pages. `public` is where customers reach us."""

    def __init__(self, public: str, links: Links) -> None:
        self._public = public
        self._links = links

    def page(self, invitation: Invitation) -> str:
        """The page of this invitation: for its recipient alone."""
        kind = invitation_kind(invitation.purpose)
        until = None if kind.lasting else invitation.closes_at
        return (
            f"{self._public}/advocacy/{kind.page}/{sign_token(self._links, invitation.purpose, invitation.id, until)}"
        )

    def advocate(self, code: str) -> str:
        """The page of whoever holds this code: for them alone."""
        return f"{self._public}/advocacy/{_REFERRAL.page}/{self._links.sign('referral', {'code': code})}"

    def share(self, code: str) -> str:
        """Where a code leads whoever it was passed on to: made to be public."""
        return f"{self._public}/advocacy/c/{code}"

    def sent(self, invitation: Invitation) -> str:
        """The link that goes into the mail: that of the code where the mail is one to pass on."""
        return self.share(invitation.code) if invitation.code else self.page(invitation)


def subject_of_token(links: Links, purpose: Purpose, token: str, now: datetime) -> dict[str, str]:
    """What the token is about: an `invitation`, or a `code`.

    Raises Rejected: `unknown` for a link we did not sign, `closed` for one that expired.
    """
    try:
        return links.read(purpose, token, now)
    except BadLink as error:
        if error.expired:
            raise Rejected("closed", "This link has expired.") from None
        incomplete = "This address is not one of ours: perhaps a part of it was lost on the way."
        raise Rejected("unknown", incomplete) from None


def outreach_request(invitation: Invitation, link: str, decided_at: datetime) -> OutreachRequested:
    """The request to notify for this invitation. It has the invitation's id, which comes back with the reports on it."""
    return OutreachRequested(
        id=invitation.id,
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
        behind=invitation.behind,
    )
