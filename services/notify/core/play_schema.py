"""Play schema: `config/plays/*.yaml` as it is written."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

from services.notify.core.playbook import Audience, Stop, Trigger
from services.notify.core.steps.table import StepFile
from shared.contracts.outreach import OutreachClass

REQUEST = "request"
NEVER = "never"


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
    causes: list[str] = []
    """What it answers, in words of your own. Plays with a cause in common give one answer."""
    precedence: int = 0
    """Of plays with a cause in common the higher takes over; of equals the first stays."""
    holdout: float = 0.0
    """The share of accounts that are not contacted, to see what the play is worth; from 0 to less than 1."""
