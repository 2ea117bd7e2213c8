"""What do we ask notify to send? The shell brings the signed link, everything else is in the invitation."""

from datetime import datetime

from services.advocacy.core.decisions import Invitation
from shared.contracts.advocacy import OutreachRequested
from shared.ids import derived


def requested(invitation: Invitation, link: str, decided_at: datetime) -> OutreachRequested:
    """The request for this invitation."""
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
