"""Which rules does the definition make, ready to be asked?"""

from dataclasses import dataclass
from datetime import timedelta

from services.lifecycle.core.condition import Condition
from services.lifecycle.core.reason import Template
from services.lifecycle.core.turn import Turn


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions that must hold for `hold` without a break.

    `moved_by` are the bits of the stores it reads; `needs`, of those without which it cannot hold.
    """

    name: str
    condition: Condition
    reason: Template
    hold: timedelta
    moved_by: int
    needs: int
    classes: tuple[str, ...]

    def ready(self, turn: Turn) -> bool:
        """Do they hold, and have they for long enough? Remembers since when."""
        holds = self.condition.holds(turn)
        if not self.hold:
            return holds
        since = turn.account.since
        if not holds:
            since.pop(self.name, None)
            return False
        return turn.midnight() - since.setdefault(self.name, turn.account.clock) >= self.hold

    def possible(self, stage: str, known: int) -> bool:
        """Can it hold in this stage, for an account of which these stores are known?"""
        return not self.needs & ~known and self.condition.possible(stage)


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
    """Announced, then at rest."""

    name: str
    rule: Rule
    rest: timedelta


@dataclass(frozen=True, slots=True)
class MilestoneRule:
    """A milestone that conditions reach, not an event."""

    name: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Touched:
    """The rules that something moved may have changed, for an account in a given stage."""

    milestones: tuple[MilestoneRule, ...]
    flags: tuple[FlagRule, ...]
    edges: tuple[EdgeRule, ...]
    signals: tuple[SignalRule, ...]
