"""What did the core decide about one message to one person? Sent (when), or not (why): nothing is dropped in silence."""

from datetime import datetime
from typing import Literal

import msgspec

from services.notify.core.words import Channel
from shared.contracts.evidence import Value
from shared.contracts.outreach import OutreachClass
from shared.ids import derived

Reason = Literal[
    "",
    "unknown_play",
    "other_stage",
    "running",
    "resting",
    "crowded",
    "stopped",
    "play_changed",
    "no_contact",
    "gone",
    "no_address",
    "unsubscribed",
    "holdout",
    "guard",
    "budget",
    "open_task",
    "urgent_ticket",
    "quiet_hours",
    "expired",
    "history",
    "unwritable",
]


class Planned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decision. `id` is the idempotency key: the same occurrence never names two deliveries alike.

    `at` is when, on the account's clock; `expires_at` is checked once more before sending. `history`: can never
    be sent. `facts` fill the template, and are empty for anything skipped.
    """

    id: str
    account: str
    play: str
    version: str
    occurrence: str
    step: str
    channel: Channel
    outreach_class: OutreachClass
    topic: str
    template: str
    subject: str
    user: str | None
    at: datetime
    expires_at: datetime
    send: bool
    reason: Reason = ""
    detail: str = ""
    history: bool = False
    facts: dict[str, Value] = {}


def key(play: str, account: str, occurrence: str, step: str, user: str | None, channel: str) -> str:
    """The idempotency key of a delivery."""
    return derived("delivery", play, account, occurrence, step, user or "", channel)
