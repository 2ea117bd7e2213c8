"""`outreach.v1`: deliveries to customers with their status and reason, and consent. Published by notify, keyed by account."""

from datetime import datetime
from typing import Literal

import msgspec

OutreachClass = Literal["transactional", "risk", "onboarding", "renewal", "value", "survey", "expansion", "advocacy"]
"""What kind of message it is: decides its priority and which caps of the contact budget it counts against."""

DeliveryStatus = Literal["previewed", "pending", "sending", "sent", "skipped", "failed", "unknown", "opened", "done"]
"""Status of a delivery in notify's outbox. previewed: shown, not sent; skipped: decided against, with a reason; unknown: in
doubt after a crash, never sent again; opened, done: a task of our own people."""

OutreachStatus = Literal["previewed", "sent", "skipped", "failed", "unknown", "opened"]
"""The statuses that are published."""

OutreachMode = Literal["preview", "live"]
"""preview: nothing leaves, deliveries are only shown. live: they are sent."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """What every outreach message carries."""

    id: str
    account: str
    at: datetime
    decided_at: datetime
    history: bool = False


class OutreachRecorded(Message, frozen=True, kw_only=True, tag="outreach_recorded"):
    """A delivery reached a published status; for anything not sent, the `reason`.

    `occurrence` is the id of the message that started its play: of a request, where advocacy asked for it.
    """

    delivery: str
    play: str
    step: str
    channel: str
    outreach_class: OutreachClass
    status: OutreachStatus
    user: str | None = None
    reason: str | None = None
    occurrence: str = ""


class ConsentChanged(Message, frozen=True, kw_only=True, tag="consent_changed"):
    """A person unsubscribed from, or came back to, a topic (`*` is everything)."""

    user: str
    topic: str
    granted: bool


OutreachMessage = OutreachRecorded | ConsentChanged
