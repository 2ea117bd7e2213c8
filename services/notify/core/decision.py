"""Decision: one message to one person, to be sent at a time, or skipped for a reason. Nothing is dropped in silence."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from services.notify.core.state import BudgetEntry
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
"""Why a message is not sent, or not yet. Operators filter by these words: they are never renamed."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the core decided. `id` is the idempotency key: an occurrence never names two deliveries alike.

    `at` is when, on the account's clock; `expires_at` is checked once more before sending. `history`: can never
    be sent. `values` fill the template, and are empty for anything skipped.
    """

    id: str
    account: str
    play: str
    version: str
    occurrence: str
    step: str
    channel: str
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
    values: dict[str, Value] = {}

    def budget_entry(self, at: datetime) -> BudgetEntry:
        """The contact, as the budget counts it when it is made at this time."""
        return BudgetEntry(self.id, self.user or "", self.outreach_class, self.topic, at, self.history)


def delivery_id(play: str, account: str, occurrence: str, step: str, user: str | None, channel: str) -> str:
    """The idempotency key of a delivery."""
    return derived("delivery", play, account, occurrence, step, user or "", channel)


LAYOUT = 2
_LAYOUT_KEY = "layout"


def encode_decision(decision: Decision) -> bytes:
    """The decision as JSON that names its layout."""
    return msgspec.json.encode({_LAYOUT_KEY: LAYOUT, **msgspec.to_builtins(decision)})


def decode_decision(data: bytes) -> Decision:
    """The decision of JSON of any layout. Raises msgspec.ValidationError where it is none, or of a newer layout."""
    plain: dict[str, Any] = msgspec.json.decode(data)
    layout = plain.pop(_LAYOUT_KEY, 1)
    if layout == 1:
        plain = {"values" if key == "facts" else key: value for key, value in plain.items()}
    elif layout != LAYOUT:
        raise msgspec.ValidationError(f"a decision of layout {layout}; this version knows up to {LAYOUT}")
    return msgspec.convert(plain, Decision)
