"""`lifecycle.v1`: the decisions about accounts, published by lifecycle, keyed by account, in order.

`seq` counts an account's messages from 1 without a gap. `at` is the account's own clock; `decided_at` the wall
clock. `history` is true while an import, not the wall clock, drives the account: consumers plan as they
would have, and send nothing. `imported` is true where an import told of the past of an account that lives already: consumers
learn what it says, and plan nothing because of it.
"""

from datetime import datetime
from typing import Literal

import msgspec

from shared.contracts.evidence import EventRef, Evidence, Value
from shared.contracts.usage import SourceKind
from shared.mail_events import MailReason

Stage = str
"""A stage's name in the definition: onboarding, adoption, value_realization, expansion, retention, advocacy, churned."""

Band = Literal["green", "yellow", "red", "unknown"]

BuiltInMetric = Literal[
    "stage",
    "days_in_stage",
    "tenure_days",
    "days_since_progress",
    "required_milestones_missing",
    "health_score",
    "health_band",
    "health_coverage",
]
"""Metrics of every account that no definition declares, beside `{milestone}_reached` and each flag's name."""

SNAPSHOT_METRICS: tuple[BuiltInMetric, ...] = ("days_in_stage", "tenure_days", "required_milestones_missing")
"""The built-in metrics that a snapshot carries beside the declared ones; the others have fields of their own there."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """What every lifecycle message carries."""

    id: str
    account: str
    seq: int
    at: datetime
    decided_at: datetime
    history: bool = False
    imported: bool = False

    @property
    def is_past(self) -> bool:
        """Whether an import told of it: nobody hears of it now."""
        return self.history or self.imported


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """The account as it stood just after the decision: what guards and templates may read.

    `score` is health 0 to 100 or None when unknown. `traits` are the account's latest group traits (name,
    plan, seats, mrr, renewal_at, csm ...), `metrics` every declared metric, `milestones` name -> when first reached.
    """

    stage: Stage
    entered_at: datetime
    flags: list[str] = []
    band: Band = "unknown"
    score: float | None = None
    metrics: dict[str, Value] = {}
    traits: dict[str, Value] = {}
    milestones: dict[str, datetime] = {}


class StageChanged(Message, frozen=True, kw_only=True, tag="stage_changed"):
    """The account moved along an edge; `previous` is None when it was first seen."""

    previous: Stage | None
    stage: Stage
    evidence: Evidence
    snapshot: Snapshot


class FlagChanged(Message, frozen=True, kw_only=True, tag="flag_changed"):
    """A flag beside the stage (at_risk, stalled, renewal_window) went up or down."""

    flag: str
    raised: bool
    evidence: Evidence
    snapshot: Snapshot


class SignalRaised(Message, frozen=True, kw_only=True, tag="signal_raised"):
    """A declared condition became true (usage_drop, seat_expansion, milestone_missing ...)."""

    signal: str
    evidence: Evidence
    snapshot: Snapshot


class MilestoneReached(Message, frozen=True, kw_only=True, tag="milestone_reached"):
    """First occurrence of something that matters. `corrected` when a late event moved it earlier."""

    milestone: str
    reached_at: datetime
    evidence: Evidence
    snapshot: Snapshot
    corrected: bool = False


class HealthChanged(Message, frozen=True, kw_only=True, tag="health_changed"):
    """The health band changed. `coverage` is the share of the score's weight that had fresh data, 0 to 1."""

    previous: Band
    band: Band
    score: float | None
    coverage: float
    evidence: Evidence
    snapshot: Snapshot


class ContactChanged(Message, frozen=True, kw_only=True, tag="contact_changed"):
    """A person of the account who can be written to became known, or changed (from identify traits).

    `email_trusted`: a source other than a browser told the address. `resubscribed`: they had said no, and a trusted source
    takes it back in so many words; that `unsubscribed` is false says nothing of an earlier no.
    """

    user: str
    email: str | None = None
    name: str | None = None
    role: str | None = None
    timezone: str | None = None
    unsubscribed: bool = False
    gone: bool = False
    email_trusted: bool = True
    resubscribed: bool = False


class MailReported(Message, frozen=True, kw_only=True, tag="mail_reported"):
    """An event says that mail to somebody is not wanted, came back for good, or was called spam.

    `told` is the event's name. Where `address` is None it is about the user, wherever mail to them goes.
    """

    reason: MailReason
    told: str
    user: str | None = None
    address: str | None = None


class FactObserved(Message, frozen=True, kw_only=True, tag="fact_observed"):
    """A usage event that the definition forwards by name (nps_answered, invoice_paid, referred_signup ...).

    `trust` is the kind of source that told it. `snapshot` is the account with it, before any rule was asked: that an invoice
    is paid or a ticket closed makes no rule fire, and still ends what was withheld for it. Older messages have none.
    """

    fact: str
    event: str
    """Id of the usage event."""
    user: str | None = None
    properties: dict[str, Value] = {}
    trust: SourceKind = "server"
    snapshot: Snapshot | None = None


class ClockAdvanced(Message, frozen=True, kw_only=True, tag="clock_advanced"):
    """The account's clock reached `at` with nothing else to say: history ended. `live` when the wall clock takes over."""

    live: bool


class CorrectedDecision(msgspec.Struct, frozen=True, omit_defaults=True):
    """A decision that a late event would have made otherwise.

    `name` is the stage entered, the flag, the signal, the milestone or the health band, `rule` the rule. `stood_at` is when it
    was decided, None where it was not; `would_be_at` when it would have been, None where it would not.
    """

    decision: Literal["stage", "flag_raised", "flag_cleared", "signal", "milestone", "health"]
    name: str
    rule: str
    stood_at: datetime | None = None
    would_be_at: datetime | None = None


class DecisionCorrected(Message, frozen=True, kw_only=True, tag="decision_corrected"):
    """An event came late: in time, it would have decided otherwise. What was decided stays, and nothing is sent for it.

    At most one for each late event, with all that it would have changed as far as the account can tell.
    """

    event: EventRef
    definition: str
    decisions: list[CorrectedDecision]


LifecycleMessage = (
    StageChanged
    | FlagChanged
    | SignalRaised
    | MilestoneReached
    | HealthChanged
    | ContactChanged
    | MailReported
    | FactObserved
    | ClockAdvanced
    | DecisionCorrected
)
