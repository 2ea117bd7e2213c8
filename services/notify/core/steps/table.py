"""Table of step kinds: the union of all kinds that a play may use.

A new kind is a class with `check` and its member of `StepFile`: mypy asks for the method of every member, and a class that
is no member is refused when this module is imported, also one whose file nothing else imports.
"""

from typing import TypeAlias, get_args

from services.notify.core import steps
from services.notify.core.steps.kind import StepKind
from services.notify.core.steps.message import MessageStep
from shared import kinds as kind_table

StepFile: TypeAlias = MessageStep
"""A step of any kind (`kind: message` where it names none)."""
KINDS: tuple[type[StepKind], ...] = get_args(StepFile) or (StepFile,)


def demand_lines(kinds: tuple[type[StepKind], ...]) -> None:
    """Raises TypeError for a step kind that is not in the table."""
    kind_table.demand_lines(StepKind, kinds, "step kinds that are not in StepFile")


kind_table.import_modules(steps)
demand_lines(KINDS)
