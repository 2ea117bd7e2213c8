"""What do these tests start from? The shipped definitions, and messages told in a few words."""

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from services.advocacy.core.account import Account
from services.advocacy.core.decisions import Decision
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.reducer import apply
from services.advocacy.core.survey_kinds import SURVEY_KINDS
from services.advocacy.loading import load_definitions
from shared.contracts.evidence import Evidence
from shared.contracts.lifecycle import (
    ClockAdvanced,
    ContactChanged,
    FactObserved,
    FlagChanged,
    HealthChanged,
    LifecycleMessage,
    MilestoneReached,
    SignalRaised,
    Snapshot,
    StageChanged,
)

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
CONFIG = Path(__file__).parents[3] / "config"
SHIPPED = load_definitions(CONFIG / "surveys", CONFIG / "referrals.yaml", SURVEY_KINDS)
WHY = Evidence("rule", "v1", "because")


def day(number: float) -> datetime:
    return START + timedelta(days=number)


class Story:
    """One account's messages, numbered as they are told."""

    def __init__(self, account: str = "acme", *, history: bool = False) -> None:
        self.account = account
        self.history = history
        self.seq = count(1)
        self.messages: list[LifecycleMessage] = []
        self.seen: dict[str, Any] = {"stage": "onboarding", "band": "green", "score": 90.0, "flags": [], "metrics": {}}

    def _tell(self, kind: type, number: float, **values: Any) -> "Story":
        seq = next(self.seq)
        about = {"id": f"{self.account}-{seq}", "account": self.account, "seq": seq}
        when = {"at": day(number), "decided_at": day(number), "history": self.history}
        self.messages.append(kind(**about, **when, **values))
        return self

    def _shown(self, kind: type, number: float, **values: Any) -> "Story":
        return self._tell(kind, number, evidence=WHY, snapshot=Snapshot(entered_at=day(number), **self.seen), **values)

    def stage(self, number: float, stage: str) -> "Story":
        previous, self.seen["stage"] = self.seen["stage"], stage
        return self._shown(StageChanged, number, previous=previous if self.messages else None, stage=stage)

    def signal(self, number: float, signal: str) -> "Story":
        return self._shown(SignalRaised, number, signal=signal)

    def health(self, number: float, band: str, score: float | None) -> "Story":
        self.seen |= {"band": band, "score": score}
        return self._shown(HealthChanged, number, previous="unknown", band=band, score=score, coverage=1.0)

    def flag(self, number: float, flag: str, *, raised: bool = True) -> "Story":
        self.seen["flags"] = [flag] if raised else []
        return self._shown(FlagChanged, number, flag=flag, raised=raised)

    def milestone(self, number: float, milestone: str) -> "Story":
        return self._shown(MilestoneReached, number, milestone=milestone, reached_at=day(number))

    def metric(self, number: float, name: str, value: float) -> "Story":
        self.seen["metrics"] = {**self.seen["metrics"], name: value}
        return self._shown(SignalRaised, number, signal="something")

    def contact(self, number: float, user: str, email: str = "", role: str = "admin", **values: Any) -> "Story":
        return self._tell(ContactChanged, number, user=user, email=email or f"{user}@acme.example", role=role, **values)

    def fact(self, number: float, fact: str, user: str | None = None, **properties: Any) -> "Story":
        event = f"event-{self.account}-{fact}-{number}"
        return self._tell(FactObserved, number, fact=fact, event=event, user=user, properties=properties)

    def clock(self, number: float, *, live: bool) -> "Story":
        return self._tell(ClockAdvanced, number, live=live)


def told(story: Story, definitions: Definitions = SHIPPED, account: Account | None = None) -> tuple[Account, list[Any]]:
    """The account after the whole story, and everything decided on the way."""
    account = account or Account(id=story.account)
    decisions: list[Decision] = []
    for message in story.messages:
        account, more = apply(account, message, definitions)
        decisions += more
    return account, decisions


def of(decisions: list[Any], kind: type) -> list[Any]:
    return [decision for decision in decisions if isinstance(decision, kind)]


def promoter(account: str = "acme", user: str = "ann", *, history: bool = False) -> Story:
    """A customer of 200 days who would recommend us: the next word makes it an advocate."""
    story = Story(account, history=history).stage(0, "onboarding").contact(1, user, f"{user}@{account}.example")
    return story.fact(170, "nps_answered", user, score=10.0)
