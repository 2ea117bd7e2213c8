"""Reports of notify on what advocacy asked it to send: which invitation one is about, and when to ask again."""

from datetime import timedelta

from shared.contracts.outreach import OutreachRecorded, OutreachStatus
from shared.ids import derived


def is_about(message: OutreachRecorded, invitation_id: str) -> bool:
    """Whether a report is about this invitation. An earlier version did not say: then it is about the latest one."""
    return message.occurrence in {"", invitation_id, derived("outreach_requested", invitation_id)}


_RETRY_AFTER = {
    "budget": timedelta(days=7),
    "guard": timedelta(days=7),
    "unhappy": timedelta(days=7),
    "not_configured": timedelta(days=7),
    "unwritable": timedelta(days=7),
    "no_contact": timedelta(days=7),
    "urgent_ticket": timedelta(days=1),
    "quiet_hours": timedelta(days=1),
    "expired": timedelta(days=1),
    "crowded": timedelta(days=1),
    "unverified": timedelta(days=30),
}
"""Notify's reasons not to send that pass, and when it is asked to once more."""


def retry_after(status: OutreachStatus, reason: str) -> timedelta | None:
    """When to ask notify again after this report; None where it was sent, or the reason stays."""
    return _RETRY_AFTER.get(reason) if status == "skipped" else None
