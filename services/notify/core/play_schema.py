"""Play schema: `config/plays/*.yaml` as it is written."""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Literal, TypeAlias

import msgspec

from shared.contracts.outreach import OutreachClass
from shared.durations import Duration

REQUEST = "request"
NEVER = "never"


class Delay(Duration):
    """A duration that may be none: 0d is at once."""

    shortest = timedelta()


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The message that starts a play. Exactly one of stage (entered), flag (raised), signal, milestone."""

    stage: str | None = None
    from_: str | None = msgspec.field(name="from", default=None)
    flag: str | None = None
    signal: str | None = None
    milestone: str | None = None


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ends a play early. Exactly one; `when` is CEL, `fact` a usage event that lifecycle forwards."""

    stage: Literal["left"] | None = None
    milestone: str | None = None
    flag_cleared: str | None = None
    signal: str | None = None
    fact: str | None = None
    when: str | None = None


class Audience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a play addresses: the first role on the list that somebody has; `any` is everybody."""

    RENAMED: ClassVar[Mapping[str, str]] = {"most": "max_recipients"}

    roles: list[str] = msgspec.field(default_factory=lambda: ["any"])
    max_recipients: int = 1


class MessageStepFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="message"):
    """One message or task, `after` the play began. `name` tells two steps with one template apart."""

    DEFAULT_KIND: ClassVar[bool] = True
    RENAMED: ClassVar[Mapping[str, str]] = {"guard": "when"}

    after: Delay
    channel: str
    template: str
    name: str = ""
    subject: str = ""
    expires: Delay = Delay(days=7)
    when: list[str] = []
    unless: list[str] = []

    @property
    def step_name(self) -> str:
        """Its name, which is its template's unless it has one of its own."""
        return self.name or self.template


StepFile: TypeAlias = MessageStepFile
"""A step of any kind (`kind: message` where it names none). A kind that is added here is missing where mypy says so."""


class PlayFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file. `when` must certainly hold, `unless` must not certainly hold: unknown stops the first, not the second.

    `cooldown` is the time until the same account may be in the play again.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"again": "cooldown", "guard": "when"}

    name: str
    description: str
    class_: OutreachClass = msgspec.field(name="class")
    on: Trigger | Literal["request"]
    steps: list[StepFile]
    stages: list[str] = []
    topic: str = ""
    when: list[str] = []
    unless: list[str] = []
    stop: list[Stop] = []
    cooldown: str = ""
    audience: Audience = Audience()
    holdout: float = 0.0
