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
    """The account enters this stage."""
    from_: str | None = msgspec.field(name="from", default=None)
    """With `stage`: only when it comes from this one."""
    flag: str | None = None
    """The flag is raised."""
    signal: str | None = None
    """The signal is raised."""
    milestone: str | None = None
    """The milestone is reached."""


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ends a play early. Exactly one; `when` is CEL, `fact` a usage event that lifecycle forwards."""

    stage: Literal["left"] | None = None
    """`left`: the account is in none of the `stages` of the play any more."""
    milestone: str | None = None
    """The milestone is reached."""
    flag_cleared: str | None = None
    """The flag is cleared."""
    signal: str | None = None
    """The signal is raised."""
    fact: str | None = None
    """The usage event arrives; lifecycle.yaml lists it under `facts`."""
    when: str | None = None
    """The condition holds."""


class Audience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a play addresses: the first role on the list that somebody has; `any` is everybody."""

    RENAMED: ClassVar[Mapping[str, str]] = {"most": "max_recipients"}

    roles: list[str] = msgspec.field(default_factory=lambda: ["any"])
    """Roles in the order of preference; `any` is everybody."""
    max_recipients: int = 1
    """At most so many people of that role."""


class MessageStepFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="message"):
    """One message or task, `after` the play began. `name` tells two steps with one template apart."""

    DEFAULT_KIND: ClassVar[bool] = True
    RENAMED: ClassVar[Mapping[str, str]] = {"guard": "when"}

    after: Delay
    """The time from the start of the play; `0d` is at once."""
    channel: str
    """The channel it leaves on."""
    template: str
    """The text, `templates/NAME.md.j2`."""
    name: str = ""
    """The name of the step; its template's where it has none."""
    subject: str = ""
    """A subject in place of the template's."""
    expires: Delay = Delay(days=7)
    """How long after it is due it may still be sent."""
    when: list[str] = []
    """Conditions that must all hold for certain; one that is unknown does not."""
    unless: list[str] = []
    """Conditions of which none may hold for certain; one that is unknown does not."""

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
    """The play's name, which is its file's."""
    description: str
    """What it is for, in a sentence."""
    class_: OutreachClass = msgspec.field(name="class")
    """The kind of message: decides its priority and the caps that count it."""
    on: Trigger | Literal["request"]
    """What starts it; `request`: advocacy asks for it."""
    steps: list[StepFile]
    """What it does, and when."""
    stages: list[str] = []
    """Where it may start; none: anywhere."""
    topic: str = ""
    """What people unsubscribe from; its class where it has none."""
    when: list[str] = []
    """Conditions that must all hold for certain, before every step."""
    unless: list[str] = []
    """Conditions of which none may hold for certain, before every step."""
    stop: list[Stop] = []
    """What ends it early; any of them."""
    cooldown: str = ""
    """How long until the account may be in it again: a duration, or `never`. Required unless `on: request`."""
    audience: Audience = Audience()
    """Whom it addresses."""
    holdout: float = 0.0
    """The share of accounts that are not contacted, to see what the play is worth; from 0 to less than 1."""
