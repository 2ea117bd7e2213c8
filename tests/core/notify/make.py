"""Builders for tests of notify's core: small plays, and messages of one account in order."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Any

from services.notify.channels.table import CHANNELS
from services.notify.core.account_view import Message
from services.notify.core.budget import Budget, Cap, QuietHours
from services.notify.core.delivery import Decision
from services.notify.core.engine import advance, apply
from services.notify.core.playbook import Audience, Play, Playbook, Step, Stop, StopCondition, Trigger
from services.notify.core.state import Account
from services.notify.core.steps.message import message_step
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.lifecycle import Snapshot
from shared.expr import Expr
from tests.make import LifecycleMessages

DAY = timedelta(days=1)
MONDAY = datetime(2025, 3, 3, 12, tzinfo=UTC)

CAPS = (
    Cap("day", 1, DAY, account=False, classes=frozenset(), topics=frozenset()),
    Cap("week", 2, 7 * DAY, account=False, classes=frozenset(), topics=frozenset()),
    Cap("survey", 1, 30 * DAY, account=False, classes=frozenset({"survey"}), topics=frozenset()),
    Cap("nps", 1, 90 * DAY, account=False, classes=frozenset(), topics=frozenset({"nps"})),
    Cap("advocacy", 1, 90 * DAY, account=False, classes=frozenset({"advocacy"}), topics=frozenset()),
    Cap("expansion", 1, 30 * DAY, account=False, classes=frozenset({"expansion"}), topics=frozenset()),
    Cap("account", 5, 7 * DAY, account=True, classes=frozenset(), topics=frozenset()),
)
NIGHT = QuietHours(time(20), time(8), weekends=True)


def at(days: float) -> datetime:
    """So many days after a Monday noon."""
    return MONDAY + days * DAY


def budget(caps: Iterable[Cap] = CAPS, quiet: QuietHours | None = None) -> Budget:
    pause = Expr("open_urgent_tickets >= 1")
    return Budget(tuple(caps), pause, frozenset({"expansion", "advocacy"}), quiet, "UTC", "salt", 30 * DAY)


def step(after: float = 0, channel: Any = "email", template: str = "hello", expires: float = 7, **more: Any) -> Step:
    when = tuple(map(Expr, more.pop("when", ())))
    return message_step(
        more.pop("name", template), after * DAY, CHANNELS.traits[channel], template, "", expires * DAY, when
    )


def play(name: str = "hello", on: Trigger | None = None, steps: Iterable[Step] = (), **more: Any) -> Play:
    on = on if on or more.pop("request", False) else Trigger(signal=name)
    class_ = more.pop("class_", "onboarding")
    stops = tuple(stop_condition(stop) for stop in more.pop("stop", ()))
    conditions = {key: tuple(map(Expr, more.pop(key, ()))) for key in ("when", "unless")}
    return Play(
        name=name,
        version="v",
        class_=class_,
        topic=more.pop("topic", class_),
        on=on,
        steps=tuple(steps) or (step(),),
        stages=frozenset(more.pop("stages", ())),
        stops=stops,
        cooldown=more.pop("cooldown", timedelta()),
        audience=more.pop("audience", Audience()),
        holdout=more.pop("holdout", 0.0),
        causes=frozenset(more.pop("causes", ())),
        precedence=more.pop("precedence", 0),
        **conditions,
    )


def stop_condition(stop: Stop) -> StopCondition:
    return StopCondition(stop, repr(stop), Expr(stop.when) if stop.when else None)


def book(*plays: Play, budget: Budget | None = None) -> Playbook:
    return Playbook(
        {each.name: each for each in plays}, budget or BUDGET, CHANNELS.traits, frozenset({"at_risk", "stalled"})
    )


BUDGET = budget()


class Story:
    """One account: tell it messages in order, and read what was planned."""

    def __init__(self, playbook: Playbook, account: str = "acme") -> None:
        self.book = playbook
        self.account = Account(account)
        self.planned: list[Decision] = []
        self._build = LifecycleMessages(account, id_prefix="m")

    def tell(self, *messages: Message) -> list[Decision]:
        before = len(self.planned)
        for message in messages:
            self.account, planned = apply(self.account, message, self.book)
            self.planned += planned
        return self.planned[before:]

    def wait(self, until: datetime) -> list[Decision]:
        self.account, planned = advance(self.account, until, self.book)
        self.planned += planned
        return planned

    @property
    def build(self) -> LifecycleMessages:
        """The builder of the next message: the account says which number that one has."""
        self._build.seq = self.account.seq
        return self._build

    def person(self, user: str = "ann", when: float = 0, **more: Any) -> list[Decision]:
        fields = {"email": f"{user}@acme.test", "name": user.title()} | more
        return self.tell(self.build.contact(at(when), user, **fields))

    def stage(self, stage: str, when: float = 0, previous: str | None = None, **more: Any) -> list[Decision]:
        return self.tell(self.build.stage(at(when), stage, previous, **_with_snapshot(stage, more)))

    def signal(self, signal: str = "hello", when: float = 0, stage: str = "adoption", **more: Any) -> list[Decision]:
        return self.tell(self.build.signal(at(when), signal, **_with_snapshot(stage, more)))

    def flag(self, flag: str, raised: bool, when: float = 0, stage: str = "adoption", **more: Any) -> list[Decision]:
        fields = _with_snapshot(stage, more | {"flags": [flag] if raised else []})
        return self.tell(self.build.flag(at(when), flag, raised=raised, **fields))

    def milestone(self, milestone: str, when: float = 0, stage: str = "adoption", **more: Any) -> list[Decision]:
        fields = _with_snapshot(stage, more | {"milestones": {milestone: at(when)}})
        return self.tell(self.build.milestone(at(when), milestone, **fields))

    def fact(self, fact: str, when: float = 0) -> list[Decision]:
        return self.tell(self.build.fact(at(when), fact))

    def clock(self, when: float, *, live: bool) -> list[Decision]:
        return self.tell(self.build.clock(at(when), live=live))

    def request(self, play: str, user: str = "ann", when: float = 0, **more: Any) -> list[Decision]:
        more = {"outreach_class": "survey", "link": "https://x.test/s"} | more
        moment = {"id": f"r{play}{user}{when}", "account": self.account.id, "at": at(when), "decided_at": at(when)}
        return self.tell(OutreachRequested(**moment, user=user, play=play, **more))


def _with_snapshot(stage: str, more: dict[str, Any]) -> dict[str, Any]:
    """The fields of a message: what a snapshot has among them is said by the snapshot."""
    of_snapshot = {"flags", "band", "score", "metrics", "traits", "milestones"}
    snapshot = Snapshot(stage, at(0), **{key: value for key, value in more.items() if key in of_snapshot})
    return {key: value for key, value in more.items() if key not in of_snapshot} | {"snapshot": snapshot}


def sent(planned: Iterable[Decision]) -> list[tuple[str, str | None]]:
    return [(each.step, each.user) for each in planned if each.send]


def reasons(planned: Iterable[Decision]) -> list[str]:
    return [each.reason for each in planned if not each.send]
