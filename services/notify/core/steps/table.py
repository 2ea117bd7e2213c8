"""Table of step kinds: the union of all kinds that a play may use.

A new kind is a class with `check` and its member of `StepFile`: mypy asks for the method of every member, and a class that
is no member is refused when this module is imported.
"""

from typing import TypeAlias, get_args

from services.notify.core.steps.kind import StepKind
from services.notify.core.steps.message import MessageStep

StepFile: TypeAlias = MessageStep
"""A step of any kind (`kind: message` where it names none)."""
KINDS: tuple[type[StepKind], ...] = get_args(StepFile) or (StepFile,)


def demand_lines(kinds: tuple[type[StepKind], ...]) -> None:
    """Raises TypeError for a step kind that is not in the table."""
    if missing := {kind.__name__ for kind in StepKind.__subclasses__()} - {kind.__name__ for kind in kinds}:
        raise TypeError(f"step kinds that are not in StepFile: {', '.join(sorted(missing))}")


demand_lines(KINDS)
