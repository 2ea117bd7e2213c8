"""Which rules does the definition make, ready to be asked?"""

from dataclasses import dataclass, replace
from datetime import timedelta

from services.lifecycle.core.condition import Condition, Holds
from services.lifecycle.core.reason import Template
from services.lifecycle.core.turn import Turn


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions that must hold for `hold` without a break. `moved_by` are the bits of the stores it reads.

    `holds` asks what is left of the condition for some stage and some known stores; the evidence shows all of it.
    """

    name: str
    condition: Condition
    reason: Template
    hold: timedelta
    moved_by: int
    classes: tuple[str, ...]
    holds: Holds

    def ready(self, turn: Turn) -> bool:
        """Do they hold, and have they for long enough? Remembers since when."""
        holds = self.holds(turn)
        if not self.hold:
            return holds
        since = turn.account.holding_since
        if not holds:
            since.pop(self.name, None)
            return False
        return turn.midnight() - since.setdefault(self.name, turn.account.clock) >= self.hold

    def left(self, stage: str, known: int) -> "Rule":
        """The same rule, asking only what is not settled for an account in this stage of which these stores are known."""
        return replace(self, holds=self.condition.left(stage, known))


@dataclass(frozen=True, slots=True)
class EdgeRule:
    """A way out of some stages."""

    rule: Rule
    sources: frozenset[str]
    to: str
    min_dwell: timedelta


@dataclass(frozen=True, slots=True)
class FlagRule:
    """One rule raises it, another clears it."""

    name: str
    up: Rule
    down: Rule


@dataclass(frozen=True, slots=True)
class SignalRule:
    """Announced, then not again within the cooldown."""

    name: str
    rule: Rule
    cooldown: timedelta


@dataclass(frozen=True, slots=True)
class MilestoneRule:
    """A milestone that conditions reach, not an event."""

    name: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Touched:
    """The rules that something moved may have changed, for an account in a given stage. `idle`: there are none."""

    milestones: tuple[MilestoneRule, ...]
    flags: tuple[FlagRule, ...]
    edges: tuple[EdgeRule, ...]
    signals: tuple[SignalRule, ...]
    idle: bool
