"""Playbook: plays and budget after checking. Durations are durations, conditions compiled, channels their traits."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple, TypeAlias

from services.notify.core.budget import Budget
from services.notify.core.channels import Channels, ChannelTraits
from services.notify.core.play_schema import Audience, Stop, Trigger
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
"""Which class goes first when two are due at once."""

FOREVER = timedelta.max


class MessageStep(NamedTuple):
    """A step that sends a message or opens a task, checked."""

    name: str
    after: timedelta
    channel: ChannelTraits
    template: str
    subject: str
    expires: timedelta
    when: tuple[Expr, ...] = ()
    unless: tuple[Expr, ...] = ()

    @property
    def addresses_customer(self) -> bool:
        """Whether the person of a request is its recipient."""
        return self.channel.reaches_customer


Step: TypeAlias = MessageStep
"""A step of any kind. Every kind has a name, is due some time `after` the run began, expires, and addresses a customer or not."""


class StopCondition(NamedTuple):
    """A stop, checked: `when` is compiled, `text` names it in reasons."""

    stop: Stop
    text: str
    when: Expr | None = None


class Play(NamedTuple):
    """A play, checked. `cooldown` is the time until the next run after somebody was contacted; None on request."""

    name: str
    version: str
    class_: OutreachClass
    topic: str
    on: Trigger | None
    steps: tuple[Step, ...]
    stages: frozenset[str] = frozenset()
    when: tuple[Expr, ...] = ()
    unless: tuple[Expr, ...] = ()
    stops: tuple[StopCondition, ...] = ()
    cooldown: timedelta | None = None
    audience: Audience = Audience()
    holdout: float = 0.0
    description: str = ""

    def step(self, name: str) -> Step | None:
        return next((step for step in self.steps if step.name == name), None)


class Playbook(NamedTuple):
    """Everything the core needs to decide.

    `flags` and `milestones` read as false while not raised or reached. `compared_metrics` are those whose value of about
    a quarter ago some template compares with today's (`before_...`).
    """

    plays: Mapping[str, Play]
    budget: Budget
    channels: Channels
    flags: frozenset[str]
    milestones: frozenset[str] = frozenset()
    compared_metrics: frozenset[str] = frozenset()
    version: str = ""

    def triggered_by(self, kind: str, name: str) -> Iterable[Play]:
        """The plays this starts, in the order of their names."""
        return (play for play in self.plays.values() if play.on and getattr(play.on, kind) == name)
