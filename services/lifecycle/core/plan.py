"""What does the definition come to, once compiled? All that folding needs, looked up rather than worked out."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_

from services.lifecycle.core.condition import never
from services.lifecycle.core.definition.model import Definition
from services.lifecycle.core.health import HealthPlan
from services.lifecycle.core.metrics.builtin import STAGE
from services.lifecycle.core.metrics.part import Part, Read
from services.lifecycle.core.router import Router
from services.lifecycle.core.rules import EdgeRule, FlagRule, MilestoneRule, Rule, SignalRule, Touched
from services.lifecycle.core.state import Account

EVERYTHING = -1
"""All bits: everything may have moved, or may be known."""
KNOWABLE = (1 << 62) - 1
"""The stores of which an account remembers whether they were ever written: as many as an integer in MessagePack has bits."""
_MOST_TOUCHED = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled definition. Shared by all accounts; nothing in it depends on any (its two dicts are caches)."""

    definition: Definition
    version: str
    parts: dict[str, Part]
    reads: dict[str, Read]
    shown: tuple[str, ...]
    bits: dict[str, int]
    knowable: int
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
            return bool(rule.moved_by & moved) and bool(entered or rule.left(stage, known).holds is not never)

        def left(rule: Rule) -> Rule:
            return rule.left(stage, known)

        flags = tuple(one for one in self.flags if runs and (asked(one.up) or asked(one.down)))
        edges = tuple(one for one in self.out_of(stage) if entered or asked(one.rule))
        signals = tuple(one for one in self.signals if runs and asked(one.rule))
        milestones = tuple(one for one in self.milestones if asked(one.rule))
        if len(self._touched) >= _MOST_TOUCHED:
            self._touched.clear()
        touched = self._touched[key] = Touched(
            milestones=tuple(replace(one, rule=left(one.rule)) for one in milestones),
            flags=tuple(replace(one, up=left(one.up), down=left(one.down)) for one in flags),
            edges=tuple(replace(one, rule=left(one.rule)) for one in edges),
            signals=tuple(replace(one, rule=left(one.rule)) for one in signals),
            idle=not (milestones or flags or edges or signals),
        )
        return touched

    def recognise(self, account: Account) -> None:
        """Note under which definition the account is, and which of the stores that matter were ever written for it."""
        stores = [*account.latest, *account.open_items]
        stores += [f"span:{name}" for name in account.spans]
        stores += [f"trait:{name}" for name in account.traits]
        known = reduce(or_, (self.bits.get(store, 0) for store in stores), 0)
        account.definition_version, account.known_stores = self.version, known & self.knowable
