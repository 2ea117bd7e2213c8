"""How does a decision become a row? With the text it would be sent with, and the reason where it is not."""

from datetime import datetime
from typing import Any

import msgspec

from services.notify.core.consent import TRANSACTIONAL
from services.notify.core.planned import Planned
from services.notify.core.state import Account
from services.notify.definition import Definition
from services.notify.rendering import Rendered
from shared.contracts.evidence import Value
from shared.contracts.outreach import OutreachRecorded, Status
from shared.ids import derived
from shared.links import Links

PURPOSE = "unsubscribe"
_NOTHING = Rendered("", "", "")
_encode = msgspec.json.Encoder().encode


class Writer:
    """Writes with the company's templates. `public` is where customers reach us."""

    def __init__(self, definition: Definition, links: Links, public: str) -> None:
        self._definition = definition
        self._links = links
        self._public = public

    def way_out(self, delivery: str) -> str:
        """The link that unsubscribes whoever got this delivery. It names the delivery, nobody's name or address."""
        return f"{self._public}/notify/u/{self._links.sign(PURPOSE, {'delivery': delivery})}"

    def written(self, planned: Planned) -> Rendered:
        """The message. Raises RenderError where a value it needs is unknown."""
        if not planned.send:
            return _NOTHING
        out: dict[str, Value] = {"unsubscribe_link": self.way_out(planned.id)}
        values = self._definition.house | planned.facts | out
        footer = planned.channel == "email" and planned.outreach_class != TRANSACTIONAL
        return self._definition.templates.render(planned.template, values, subject=planned.subject, footer=footer)


def row(planned: Planned, status: str, written: Rendered, account: Account, now: datetime) -> dict[str, Any]:
    """A new row of the outbox."""
    who = account.contacts.get(planned.user or "")
    return {
        "id": planned.id,
        "account": planned.account,
        "user": planned.user,
        "address": who.email if who else None,
        "play": planned.play,
        "step": planned.step,
        "channel": planned.channel,
        "outreach_class": planned.outreach_class,
        "topic": planned.topic,
        "status": status,
        "reason": planned.reason,
        "detail": planned.detail,
        "at": planned.at,
        "planned_at": now,
        "not_before": planned.at,
        "expires_at": planned.expires_at,
        "history": planned.history,
        **written._asdict(),
        "decision": _encode(planned),
        "attempt": 0,
        "lease_epoch": 0,
        "lease_until": None,
        "stage": "",
        "perhaps": False,
        "provider_ref": "",
        "sent_at": None,
        "done_at": None,
    }


def recorded(planned: Planned, status: Status, at: datetime, now: datetime, reason: str = "") -> OutreachRecorded:
    """What the others are told."""
    return OutreachRecorded(
        id=derived("outreach", planned.id, status),
        account=planned.account,
        at=at,
        decided_at=now,
        history=planned.history,
        delivery=planned.id,
        play=planned.play,
        step=planned.step,
        channel=planned.channel,
        outreach_class=planned.outreach_class,
        status=status,
        user=planned.user,
        reason=reason or None,
    )
