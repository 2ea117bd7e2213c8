"""What does the definition come to, once compiled? All that folding needs, looked up rather than worked out."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.lifecycle.core.definition.model import Definition
from services.lifecycle.core.health import HealthPlan
from services.lifecycle.core.metrics.builtin import STAGE
from services.lifecycle.core.metrics.part import Part, Read
from services.lifecycle.core.router import Router
from services.lifecycle.core.rules import EdgeRule, FlagRule, MilestoneRule, Rule, SignalRule, Touched
from services.lifecycle.core.state import Account

EVERYTHING = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled definition. Shared by all accounts; nothing in it depends on any (its two dicts are caches)."""

    definition: Definition
    version: str
    parts: dict[str, Part]
    reads: dict[str, Read]
    shown: tuple[str, ...]
    bits: dict[str, int]
    router: Router
    milestones: tuple[MilestoneRule, ...]
    flags: tuple[FlagRule, ...]
    edges: tuple[EdgeRule, ...]
    signals: tuple[SignalRule, ...]
    health: HealthPlan | None
    health_classes: tuple[str, ...]
    first_stage: str
    terminal: frozenset[str]
    edge_names: frozenset[str]
    _touched: dict[tuple[int, str, int], Touched] = field(default_factory=dict)

    def out_of(self, stage: str) -> Iterable[EdgeRule]:
        """The edges out of a stage, in the order in which they may fire."""
        return (edge for edge in self.edges if stage in edge.sources)

    def names_out_of(self, stage: str) -> frozenset[str]:
        """The rules of those edges."""
        return frozenset(edge.rule.name for edge in self.out_of(stage))

    def touched(self, moved: int, stage: str, known: int = EVERYTHING) -> Touched:
        """The rules to ask when these stores moved, of an account in this stage of which these are known (bits)."""
        key = (moved, stage, known)
        return self._touched.get(key) or self._touch(key)

    def _touch(self, key: tuple[int, str, int]) -> Touched:
        """A rule that cannot hold has not held since the stage last moved, when it was asked: so it need not be."""
        moved, stage, known = key
        entered, runs = moved & self.bits[STAGE], stage not in self.terminal

        def asked(rule: Rule) -> bool:
            return bool(rule.moved_by & moved) and bool(entered or rule.possible(stage, known))

        touched = self._touched[key] = Touched(
            milestones=tuple(one for one in self.milestones if asked(one.rule)),
            flags=tuple(one for one in self.flags if runs and (asked(one.up) or asked(one.down))),
            edges=tuple(one for one in self.out_of(stage) if entered or asked(one.rule)),
            signals=tuple(one for one in self.signals if runs and asked(one.rule)),
        )
        return touched

    def known(self, account: Account) -> int:
        """The stores that were ever written for this account (bits)."""
        stores = [*account.series, *account.crowds, *account.latest, *account.opened]
        stores += [f"span:{name}" for name in account.spans]
        stores += [f"trait:{name}" for name in account.traits]
        mask, bits = 0, self.bits
        for store in stores:
            mask |= bits.get(store, 0)
        return mask
