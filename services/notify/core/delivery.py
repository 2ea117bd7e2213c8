"""Delivery: the decision for one message to one person, the machine of its statuses, how each outcome of an attempt ends it.

A decision is to be sent at a time, or skipped for a reason: nothing is dropped in silence. A delivery that went out costs
the contact budget.
"""

import re
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

import msgspec
from msgspec.structs import replace

from services.notify.core.channels import CAUTIOUS, AttemptOutcome, AttemptStage, Channels
from services.notify.core.state import TRANSACTIONAL, Account, BudgetEntry
from shared.contracts.evidence import Value
from shared.contracts.outreach import DeliveryStatus, OutreachClass, OutreachStatus
from shared.failures import Halted
from shared.ids import derived
from shared.machine import StatusMachine

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
    "bounced",
    "complained",
    "unverified",
    "holdout",
    "guard",
    "budget",
    "ceiling",
    "approval",
    "open_task",
    "urgent_ticket",
    "unhappy",
    "same_cause",
    "quiet_hours",
    "expired",
    "history",
    "unwritable",
    "not_configured",
]
"""Why a message is not sent, or not yet. Operators filter by these words: they are never renamed."""


class Verdict(NamedTuple):
    """`defer` is judged again at `until`; the reason is of a skip, or of a deferral that outlasts its expiry."""

    action: Literal["send", "defer", "skip"]
    reason: Reason = ""
    detail: str = ""
    until: datetime | None = None


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
_LAYOUT_FIRST = re.compile(rb'\{"layout":(\d+)')


class NewerDecision(Halted):
    """A decision was stored by a newer version of the code: this one must not send it, nor say what became of it."""

    code = "newer_layout"


def encode_decision(decision: Decision) -> bytes:
    """The decision as JSON that names its layout."""
    return msgspec.json.encode({_LAYOUT_KEY: LAYOUT, **msgspec.to_builtins(decision)})


def decode_decision(data: bytes) -> Decision:
    """The decision of JSON of any layout. Raises NewerDecision, and msgspec.ValidationError where it is no decision."""
    plain: dict[str, Any] = msgspec.json.decode(data)
    layout = plain.pop(_LAYOUT_KEY, 1)
    if layout == 1:
        plain = {"values" if key == "facts" else key: value for key, value in plain.items()}
    elif layout != LAYOUT:
        raise NewerDecision(
            f"a stored delivery has layout {layout}, this version of Waymark knows up to {LAYOUT}: run the version that "
            "wrote it, or a newer one"
        )
    return msgspec.convert(plain, Decision)


def decision_layout(data: bytes) -> int:
    """The layout of a stored decision, by its first bytes."""
    found = _LAYOUT_FIRST.match(data)
    return int(found[1]) if found else 1


DELIVERY: StatusMachine[DeliveryStatus] = StatusMachine(
    "delivery",
    get_args(DeliveryStatus),
    {
        "previewed": {"pending"},
        "pending": {"pending", "sending", "skipped"},
        "sending": {"sending", "pending", "sent", "opened", "skipped", "failed", "unknown"},
        "opened": {"done"},
        "sent": (),
        "skipped": (),
        "failed": {"pending"},
        "unknown": (),
        "done": (),
    },
)
"""A pending delivery may be put off; one that is being sent moves through its stages, or back to pending for a retry.

One that failed may be sent again, when somebody says so.
"""


class Settlement(NamedTuple):
    """What an outcome leads to: the final status and its reason.

    `retried`: only after the last attempt; before that the delivery goes back to pending. `maybe_delivered`: it counts
    against the budget although a later attempt may fail.
    """

    status: OutreachStatus
    reason: str = ""
    retried: bool = False
    maybe_delivered: bool = False


def settlement(outcome: AttemptOutcome) -> Settlement:
    """How an attempt with this outcome ends the delivery."""
    match outcome:
        case "accepted":
            return Settlement("sent")
        case "opened":
            return Settlement("opened")
        case "refused" | "bounced":
            return Settlement("failed", outcome)
        case "retry":
            return Settlement("failed", "gave_up", retried=True)
        case "retry_idempotent":
            return Settlement("failed", "gave_up", retried=True, maybe_delivered=True)
        case "uncertain":
            return Settlement("unknown", "unknown")


def crash_outcome(channels: Channels, channel: str, stage: AttemptStage) -> AttemptOutcome:
    """How an attempt ends whose sender did not come back. A channel that does not exist any more never sends twice."""
    traits = channels.get(channel)
    return (traits.crash_outcomes if traits else CAUTIOUS).after(stage)


def record_contact(account: Account, decision: Decision, at: datetime, channels: Channels) -> Account:
    """The account when the delivery goes out, or may have gone out, at this moment: the budget counts from here.

    Also where the decision is so old that the budget has forgotten it since.
    """
    traits = channels.get(decision.channel)
    if decision.outreach_class == TRANSACTIONAL or (traits is not None and not traits.is_contact):
        return account
    others = [entry for entry in account.budget_entries if entry.delivery != decision.id]
    return replace(account, budget_entries=[*others, decision.budget_entry(at)])


def note_preview(account: Account, delivery: str) -> Account:
    """The account when this delivery is only shown: its contact counts in the preview alone."""
    entries = [
        replace(entry, previewed=True) if entry.delivery == delivery else entry for entry in account.budget_entries
    ]
    return replace(account, budget_entries=entries)


def without_previews(account: Account) -> Account:
    """The account as what really leaves is judged: a preview has used up nobody's budget."""
    sent = [entry for entry in account.budget_entries if not entry.previewed]
    return account if len(sent) == len(account.budget_entries) else replace(account, budget_entries=sent)


def forget_contact(account: Account, delivery: str) -> Account:
    """The account when the delivery never went out after all: it costs nothing."""
    entries = [entry for entry in account.budget_entries if entry.delivery != delivery]
    return replace(account, budget_entries=entries)


def close_task(account: Account, delivery: str) -> Account:
    """The account after somebody closed this task: the play may open another."""
    left = {play: task.closed(delivery) for play, task in account.open_tasks.items()}
    return replace(account, open_tasks={play: task for play, task in left.items() if task is not None})
