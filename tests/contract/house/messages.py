"""One example message of every kind."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shared.contracts import advocacy, lifecycle, outreach
from shared.contracts.evidence import Clause, EventRef, Evidence
from shared.contracts.topics import ADVOCACY, LIFECYCLE, OUTREACH, USAGE, Topic
from shared.contracts.usage import UsageEvent

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
_HEAD: dict[str, Any] = {"id": "m-1", "account": "acme", "at": AT, "decided_at": AT + timedelta(seconds=1)}
_EVIDENCE = Evidence(
    rule="edges.adoption",
    definition="4f2a",
    reason="two features are used",
    clauses=[Clause("features >= 2", {"features": 2.0, "plan": "pro", "known": None}, satisfied=True, threshold=2.0)],
    events=[EventRef("e-1", "report_shared", AT)],
    since=AT,
)
_SNAPSHOT = lifecycle.Snapshot(
    stage="adoption",
    entered_at=AT,
    flags=["stalled"],
    band="yellow",
    score=61.5,
    metrics={"features": 2.0, "champion": True, "last": None},
    traits={"plan": "pro"},
    milestones={"first_value": AT},
)
_LIFECYCLE: dict[str, Any] = {**_HEAD, "seq": 7}
_DECIDED: dict[str, Any] = {**_LIFECYCLE, "evidence": _EVIDENCE, "snapshot": _SNAPSHOT}

MESSAGES: dict[Topic, list[msgspec.Struct]] = {
    USAGE: [
        UsageEvent(
            **{name: _HEAD[name] for name in ("id", "account", "at")},
            type="track",
            name="report_shared",
            received_at=AT,
            source="web",
            user="u-1",
            properties=msgspec.Raw(b'{"feature":"reports","n":[1,null]}'),
            history="import-1",
        ),
    ],
    LIFECYCLE: [
        lifecycle.StageChanged(**_DECIDED, previous=None, stage="onboarding"),
        lifecycle.FlagChanged(**_DECIDED, flag="at_risk", raised=True, history=True),
        lifecycle.SignalRaised(**_DECIDED, signal="usage_drop"),
        lifecycle.MilestoneReached(**_DECIDED, milestone="first_value", reached_at=AT, corrected=True),
        lifecycle.HealthChanged(**_DECIDED, previous="green", band="unknown", score=None, coverage=0.4),
        lifecycle.ContactChanged(**_LIFECYCLE, user="u-1", email="ann@acme.example", timezone="Europe/Berlin"),
        lifecycle.MailReported(**_LIFECYCLE, reason="bounced", told="Email Bounced", address="ann@acme.example"),
        lifecycle.FactObserved(**_LIFECYCLE, fact="nps_answered", event="e-1", properties={"score": 9.0, "who": None}),
        lifecycle.ClockAdvanced(**_LIFECYCLE, live=False),
        lifecycle.DecisionCorrected(
            **_LIFECYCLE,
            imported=True,
            event=EventRef("e-1", "invoice_failed", AT),
            definition="d",
            decisions=[lifecycle.CorrectedDecision("signal", "payment_failed", "payment_failed", would_be_at=AT)],
        ),
    ],
    OUTREACH: [
        outreach.OutreachRecorded(
            **_HEAD,
            delivery="d-1",
            play="welcome",
            step="mail",
            channel="email",
            outreach_class="onboarding",
            status="skipped",
            reason="quiet hours",
        ),
        outreach.ConsentChanged(**_HEAD, user="u-1", topic="*", granted=False),
    ],
    ADVOCACY: [
        advocacy.OutreachRequested(
            **_HEAD,
            user="u-1",
            play="nps",
            outreach_class="survey",
            link="https://cs.acme.example/s/1",
            values={"first": "Ann"},
            expires_at=AT,
            behind=7,
        ),
        advocacy.HistoryFollowed(**_HEAD, history=True, seq=7),
        advocacy.SurveyAnswered(**_HEAD, user="u-1", survey="nps", survey_kind="nps", score=9, comment="good"),
        advocacy.AdvocateOptedIn(**_HEAD, user="u-1", code="ANN-7"),
        advocacy.NeverAskRequested(**_HEAD, user="u-1", outreach_class="advocacy"),
        advocacy.ReferralConverted(**_HEAD, user="u-1", referred_account="globex", code="ANN-7"),
        advocacy.RewardBooked(**_HEAD, reward="r-1", referral="f-1", amount=5000, currency="EUR"),
    ],
}
