"""Delivery: the machine of its statuses, how each outcome of an attempt ends it, and what it costs the contact budget."""

from datetime import datetime
from typing import NamedTuple, get_args

from msgspec.structs import replace

from services.notify.core.channels import CAUTIOUS, AttemptOutcome, AttemptStage, Channels
from services.notify.core.consent import TRANSACTIONAL
from services.notify.core.decision import Decision
from services.notify.core.state import Account
from shared.contracts.outreach import DeliveryStatus, OutreachStatus
from shared.machine import StatusMachine

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
        "failed": (),
        "unknown": (),
        "done": (),
    },
)
"""A pending delivery may be put off; one that is being sent moves through its stages, or back to pending for a retry."""


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
        case "refused":
            return Settlement("failed", "refused")
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
    if decision.outreach_class == TRANSACTIONAL or (traits is not None and not traits.reaches_customer):
        return account
    others = [entry for entry in account.budget_entries if entry.delivery != decision.id]
    return replace(account, budget_entries=[*others, decision.budget_entry(at)])


def forget_contact(account: Account, delivery: str) -> Account:
    """The account when the delivery never went out after all: it costs nothing."""
    entries = [entry for entry in account.budget_entries if entry.delivery != delivery]
    return replace(account, budget_entries=entries)


def close_task(account: Account, delivery: str) -> Account:
    """The account after somebody closed this task: the play may open another."""
    open_tasks = {play: task for play, task in account.open_tasks.items() if task.delivery != delivery}
    return replace(account, open_tasks=open_tasks)
