"""What does the core run? Plays and budget after checking: durations are durations, conditions are compiled."""

from collections.abc import Iterable, Mapping
from datetime import time, timedelta
from typing import NamedTuple

from services.notify.core.words import Audience, Channel, On, Stop
from shared.contracts.outreach import OutreachClass
from shared.expr import Expr

PRIORITY: tuple[OutreachClass, ...] = (
    "transactional",
    "risk",
    "onboarding",
    "renewal",
    "value",
    "survey",
    "expansion",
    "advocacy",
)
"""Who goes first when two are due at once."""

FOREVER = timedelta.max


class Step(NamedTuple):
    """A step, checked."""

    name: str
    after: timedelta
    channel: Channel
    template: str
    subject: str
    expires: timedelta
    when: tuple[Expr, ...] = ()
    unless: tuple[Expr, ...] = ()


class Ending(NamedTuple):
    """A stop condition; `holds` is its compiled `when`."""

    stop: Stop
    text: str
    holds: Expr | None = None


class Play(NamedTuple):
    """A play, checked. `cooldown` is the time until the next run after somebody was contacted; None for plays on request."""

    name: str
    version: str
    class_: OutreachClass
    topic: str
    on: On | None
    steps: tuple[Step, ...]
    stages: frozenset[str] = frozenset()
    when: tuple[Expr, ...] = ()
    unless: tuple[Expr, ...] = ()
    endings: tuple[Ending, ...] = ()
    cooldown: timedelta | None = None
    audience: Audience = Audience()
    holdout: float = 0.0
    description: str = ""

    def step(self, name: str) -> Step | None:
        return next((step for step in self.steps if step.name == name), None)


class Cap(NamedTuple):
    """A cap, checked."""

    name: str
    max: int
    within: timedelta
    account: bool
    classes: frozenset[str]
    topics: frozenset[str]

    def counts(self, class_: str, topic: str) -> bool:
        """Whether a contact of this class and topic falls under it."""
        everything = not self.classes and not self.topics
        return everything or class_ in self.classes or topic in self.topics


class Quiet(NamedTuple):
    """Quiet hours, checked."""

    begin: time
    end: time
    weekends: bool


class Budget(NamedTuple):
    """The contact budget, checked."""

    caps: tuple[Cap, ...]
    pause: Expr
    paused: frozenset[str]
    quiet: Quiet | None
    timezone: str
    holdout_salt: str
    open_task: timedelta


class Playbook(NamedTuple):
    """Everything the core needs to decide. `flags` and `milestones` are known also while not raised or reached: as false."""

    plays: Mapping[str, Play]
    budget: Budget
    flags: frozenset[str]
    milestones: frozenset[str] = frozenset()
    remembered: frozenset[str] = frozenset()
    """Metrics whose value of about a quarter ago some template compares with today's (`before_...`)."""
    version: str = ""

    def on(self, kind: str, name: str) -> Iterable[Play]:
        """The plays this starts, in the order of their names."""
        return (play for play in self.plays.values() if play.on and getattr(play.on, kind) == name)
