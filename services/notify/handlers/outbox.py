"""Outbox: a decision becomes a row with the text it would be sent with, and a message to the other services."""

from datetime import datetime

from services.notify.core.channels import Channels
from services.notify.core.delivery import Decision, encode_decision
from services.notify.core.state import TRANSACTIONAL, Account
from services.notify.definition import Definition
from services.notify.rendering import Rendered
from shared.contracts.evidence import Value
from shared.contracts.outreach import DeliveryStatus, OutreachRecorded, OutreachStatus
from shared.db.protocol import Values
from shared.ids import derived
from shared.links import Links

UNSUBSCRIBE = "unsubscribe"
"""The purpose that unsubscribe links are signed for."""
_NOTHING = Rendered("", "", "")


class MessageWriter:
    """Writes with the company's templates. `public_url` is where customers reach us."""

    def __init__(self, definition: Definition, links: Links, public_url: str) -> None:
        self._definition = definition
        self._links = links
        self._public_url = public_url

    def unsubscribe_url(self, delivery_id: str) -> str:
        """The link that unsubscribes the recipient. It carries the delivery's id, nobody's name or address."""
        return f"{self._public_url}/notify/u/{self._links.sign(UNSUBSCRIBE, {'delivery': delivery_id})}"

    def render(self, decision: Decision) -> Rendered:
        """The message. Raises RenderError where a value it needs is unknown."""
        if not decision.send:
            return _NOTHING
        link: dict[str, Value] = {"unsubscribe_link": self.unsubscribe_url(decision.id)}
        values = self._definition.company | decision.values | link
        footer = _needs_footer(decision, self._definition.playbook.channels)
        return self._definition.templates.render(decision.template, values, subject=decision.subject, footer=footer)


def new_row(decision: Decision, status: DeliveryStatus, rendered: Rendered, account: Account, now: datetime) -> Values:
    """A new row of the outbox."""
    contact = account.contacts.get(decision.user or "")
    return {
        "id": decision.id,
        "account": decision.account,
        "user": decision.user,
        "address": contact.email if contact else None,
        "play": decision.play,
        "step": decision.step,
        "channel": decision.channel,
        "outreach_class": decision.outreach_class,
        "topic": decision.topic,
        "status": status,
        "reason": decision.reason,
        "detail": decision.detail,
        "at": decision.at,
        "planned_at": now,
        "not_before": decision.at,
        "expires_at": decision.expires_at,
        "history": decision.history,
        **rendered._asdict(),
        "decision": encode_decision(decision),
        "attempt": 0,
        "lease_epoch": 0,
        "lease_until": None,
        "stage": "",
        "maybe_delivered": False,
        "provider_ref": "",
        "sent_at": None,
        "done_at": None,
    }


def outreach_recorded(
    decision: Decision, status: OutreachStatus, at: datetime, now: datetime, reason: str = ""
) -> OutreachRecorded:
    """The message to the other services."""
    return OutreachRecorded(
        id=derived("outreach", decision.id, status),
        account=decision.account,
        at=at,
        decided_at=now,
        history=decision.history,
        delivery=decision.id,
        play=decision.play,
        step=decision.step,
        channel=decision.channel,
        outreach_class=decision.outreach_class,
        status=status,
        user=decision.user,
        reason=reason or None,
    )


def _needs_footer(decision: Decision, channels: Channels) -> bool:
    return channels[decision.channel].needs_footer(decision.outreach_class == TRANSACTIONAL)
