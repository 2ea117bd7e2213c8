"""Which page is whose? The signed addresses of hosted pages, and back from an address to the invitation."""

from datetime import datetime, timedelta

from services.advocacy.core.decisions import Invitation
from services.advocacy.core.refusal import Refused
from shared.links import BadLink, Links

_PAGE: dict[str, str] = {"survey": "s", "referral": "r"}
_LONGER: dict[str, timedelta] = {"survey": timedelta(), "referral": timedelta(days=365)}
"""An advocate may look up their code for a year; whether an ask is still open stands in its row."""


def signed(links: Links, purpose: str, invitation: str, until: datetime) -> str:
    """The token of an invitation's page."""
    return links.sign(purpose, {"invitation": invitation}, until)


def address(public: str, links: Links, invitation: Invitation) -> str:
    """The page of this invitation."""
    until = invitation.closes_at + _LONGER[invitation.purpose]
    return f"{public}/advocacy/{_PAGE[invitation.purpose]}/{signed(links, invitation.purpose, invitation.id, until)}"


def subject(links: Links, purpose: str, token: str, now: datetime) -> str:
    """Which invitation it is. Raises Refused: `unknown` for a link we did not sign, `closed` for one that expired."""
    try:
        return links.read(purpose, token, now)["invitation"]
    except BadLink as why:
        if why.expired:
            raise Refused("closed", "This link has expired.") from None
        lost = "This address is not one of ours: perhaps a part of it was lost on the way."
        raise Refused("unknown", lost) from None
