"""Builders for the core of advocacy: the shipped definitions, and one account's messages by day."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from services.advocacy.core.account import Account
from services.advocacy.core.decisions import Decision
from services.advocacy.core.definitions import Definitions, Wait
from services.advocacy.core.reducer import apply
from services.advocacy.core.survey_kinds import SURVEY_KINDS
from services.advocacy.loading import load_definitions
from shared.contracts.lifecycle import FactObserved, LifecycleMessage, Snapshot
from tests.make import LifecycleMessages

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
CONFIG = Path(__file__).parents[3] / "config"
LOADED = load_definitions(CONFIG / "surveys", CONFIG / "referrals.yaml", SURVEY_KINDS)
_ASK = replace(LOADED.referrals.ask, wait=Wait())
SHIPPED = LOADED._replace(referrals=replace(LOADED.referrals, ask=_ASK))
"""As shipped, except that a candidate is asked to refer at once: `LOADED` waits."""


def day(number: float) -> datetime:
    return START + timedelta(days=number)


class Story:
    """One account's messages by day, with the snapshot that the messages before lead to."""

    def __init__(self, account: str = "acme", *, history: bool = False) -> None:
        self.account = account
        self.messages: list[LifecycleMessage] = []
        self.snapshot: dict[str, Any] = {
            "stage": "onboarding",
            "band": "green",
            "score": 90.0,
            "flags": [],
            "metrics": {},
        }
        self._build = LifecycleMessages(account, history=history)

    def _add(self, message: LifecycleMessage) -> "Story":
        self.messages.append(message)
        return self

    def _now(self, number: float) -> Snapshot:
        return Snapshot(entered_at=day(number), **self.snapshot)

    def stage(self, number: float, stage: str) -> "Story":
        previous, self.snapshot["stage"] = self.snapshot["stage"], stage
        previous = previous if self.messages else None
        return self._add(self._build.stage(day(number), stage, previous, snapshot=self._now(number)))

    def signal(self, number: float, signal: str) -> "Story":
        return self._add(self._build.signal(day(number), signal, snapshot=self._now(number)))

    def health(self, number: float, band: str, score: float | None) -> "Story":
        self.snapshot |= {"band": band, "score": score}
        return self._add(self._build.health(day(number), band, score, snapshot=self._now(number)))

    def flag(self, number: float, flag: str, *, raised: bool = True) -> "Story":
        self.snapshot["flags"] = [flag] if raised else []
        return self._add(self._build.flag(day(number), flag, raised=raised, snapshot=self._now(number)))

    def milestone(self, number: float, milestone: str) -> "Story":
        return self._add(self._build.milestone(day(number), milestone, snapshot=self._now(number)))

    def metric(self, number: float, name: str, value: float) -> "Story":
        self.snapshot["metrics"] = {**self.snapshot["metrics"], name: value}
        return self.signal(number, "something")

    def contact(self, number: float, user: str, email: str = "", role: str = "admin", **values: Any) -> "Story":
        email = email or f"{user}@acme.example"
        return self._add(self._build.contact(day(number), user, email=email, role=role, **values))

    def fact(self, number: float, fact: str, user: str | None = None, **properties: Any) -> "Story":
        event = f"event-{self.account}-{fact}-{number}"
        return self._add(self._build.fact(day(number), fact, event=event, user=user, properties=properties))

    def by_browser(self) -> "Story":
        """The same, and a browser told its facts."""
        told = [replace(one, trust="browser") if isinstance(one, FactObserved) else one for one in self.messages]
        self.messages[:] = told
        return self

    def clock(self, number: float, *, live: bool) -> "Story":
        return self._add(self._build.clock(day(number), live=live))


def apply_story(
    story: Story, definitions: Definitions = SHIPPED, account: Account | None = None
) -> tuple[Account, list[Any]]:
    """The account after the whole story, and everything decided on the way."""
    account = account or Account(id=story.account)
    decisions: list[Decision] = []
    for message in story.messages:
        account, more = apply(account, message, definitions)
        decisions += more
    return account, decisions


def of_type(decisions: list[Any], kind: type) -> list[Any]:
    return [decision for decision in decisions if isinstance(decision, kind)]


def promoter(account: str = "acme", user: str = "ann", *, history: bool = False) -> Story:
    """A customer of 200 days who would recommend us: the next word makes it an advocate."""
    story = Story(account, history=history).stage(0, "onboarding").contact(1, user, f"{user}@{account}.example")
    return story.fact(170, "nps_answered", user, score=10.0)


def candidate(account: str = "acme", user: str = "ann") -> Story:
    """A promoter whose account has been in advocacy for a fortnight on day 200: as shipped, they are asked then."""
    return promoter(account, user).stage(186, "advocacy").signal(200, "nothing")
