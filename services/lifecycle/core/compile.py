"""How does a checked definition become a plan?"""

from collections.abc import Collection, Iterable

from services.lifecycle.core.condition import Condition
from services.lifecycle.core.definition.check import check
from services.lifecycle.core.definition.duration import duration
from services.lifecycle.core.definition.edges import edge_name, sources
from services.lifecycle.core.definition.model import Definition, Edge, EventClass, Flag, Signal, When
from services.lifecycle.core.health import compile_health
from services.lifecycle.core.metrics.builtin import FLAGS, HEALTH, MILESTONES, MISSING, STAGE, TIME
from services.lifecycle.core.metrics.part import Part, Write, Writer
from services.lifecycle.core.metrics.table import compile_parts
from services.lifecycle.core.metrics.traits import set_trait
from services.lifecycle.core.plan import KNOWABLE, Plan
from services.lifecycle.core.reason import Template
from services.lifecycle.core.router import ClassPlan, Router, pattern
from services.lifecycle.core.rules import EdgeRule, FlagRule, MilestoneRule, Rule, SignalRule
from services.lifecycle.core.state import Account
from services.lifecycle.core.turn import Hit
from shared.definitions import Loaded
from shared.expr import Expr

_SHOWN = ("days_in_stage", "tenure_days", MISSING)


class Compiler:
    """Parts and bits of one definition, from which its rules are made."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.parts = compile_parts(definition)
        self.bits = {store: 1 << at for at, store in enumerate(_stores(definition, self.parts.values()))}

    def rule(self, name: str, when: When, unless: Iterable[str], hold: str, reason: str, waits: bool = False) -> Rule:
        condition = Condition(when, unless, self.needs)
        classes = dict.fromkeys(of for metric in condition.names for of in self.parts[metric].classes)
        parts = [self.parts[metric] for metric in condition.names]
        moved_by = self.mask(store for part in parts for store in part.stores)
        if waits or duration(hold) or any(part.timed for part in parts):
            moved_by |= self.bits[TIME]
        return Rule(name, condition, Template(reason), duration(hold), moved_by, tuple(classes), condition.holds)

    def mask(self, stores: Iterable[str]) -> int:
        return sum(self.bits[store] for store in set(stores))

    def needs(self, metric: str) -> int:
        return self.mask(self.parts[metric].needs) & KNOWABLE

    def edge(self, edge: Edge) -> EdgeRule:
        dwell = duration(edge.min_dwell)
        rule = self.rule(edge_name(edge), edge.when, edge.unless, edge.hold, edge.reason, waits=bool(dwell))
        return EdgeRule(rule, frozenset(sources(self.definition, edge)), edge.to, dwell)

    def flag(self, name: str, flag: Flag) -> FlagRule:
        up = self.rule(f"{name} raised", flag.raise_when, flag.raise_unless, flag.hold, flag.reason)
        down = self.rule(f"{name} cleared", flag.clear_when, flag.clear_unless, flag.clear_hold, "Recovered: {why}.")
        return FlagRule(name, up, down)

    def signal(self, name: str, signal: Signal) -> SignalRule:
        cooldown = duration(signal.cooldown)
        rule = self.rule(name, signal.when, signal.unless, signal.hold, signal.reason, waits=bool(cooldown))
        return SignalRule(name, rule, cooldown)

    def event_class(self, name: str, of: EventClass) -> ClassPlan:
        mine = [write for part in self.parts.values() for write in part.writes if write.of == name]
        fact = name in self.definition.facts
        removes = name == self.definition.removes_user
        return ClassPlan(
            name=name,
            pattern=pattern(of),
            where=Expr(of.where) if of.where else None,
            feature=of.feature,
            writers=(*self._writers(mine), *self._setters(of)),
            span=self.bits[f"span:{name}"],
            properties=bool(of.where or of.sets or fact or removes or any(write.properties for write in mine)),
            milestones=tuple(one for one, reached in self.definition.milestones.items() if reached.of == name),
            fact=fact,
            removes=removes,
        )

    def _writers(self, writes: list[Write]) -> list[tuple[int, Writer]]:
        """One writer a store, keeping as long as the most demanding metric asks."""
        stores = {write.store: write for write in sorted(writes, key=lambda write: write.keep)}
        return [(self.bits[store], write.make(write.keep)) for store, write in stores.items()]

    def _setters(self, of: EventClass) -> list[tuple[int, Writer]]:
        return [(self.bits[f"trait:{trait}"], _setter(trait, property_)) for trait, property_ in of.sets.items()]


def compile_plan(definition: Definition, version: str) -> Plan:
    """The plan of a definition in which `check` found no mistake."""
    make = Compiler(definition)
    edges = tuple(map(make.edge, definition.edges))
    return Plan(
        definition=definition,
        version=version,
        parts=make.parts,
        reads={name: part.read for name, part in make.parts.items()},
        shown=(*definition.metrics, *_SHOWN),
        bits=make.bits,
        knowable=make.mask(store for part in make.parts.values() for store in part.needs) & KNOWABLE,
        router=Router([make.event_class(name, of) for name, of in definition.events.items()]),
        milestones=tuple(_reached(make, definition)),
        flags=tuple(make.flag(name, flag) for name, flag in definition.flags.items()),
        edges=edges,
        signals=tuple(make.signal(name, signal) for name, signal in definition.signals.items()),
        health=compile_health(definition.health, make.needs) if definition.health else None,
        health_classes=_health_classes(make),
        first_stage=next(iter(definition.stages)),
        terminal=frozenset(name for name, stage in definition.stages.items() if stage.terminal),
        edge_names=frozenset(edge.rule.name for edge in edges),
    )


def plan_of(loaded: Loaded[Definition]) -> Plan:
    """Check the loaded file, then compile it. Raises DefinitionError with every mistake."""
    check(loaded)
    return compile_plan(loaded.value, loaded.version)


def _stores(definition: Definition, parts: Collection[Part]) -> list[str]:
    """Those without which a metric is unknown come first: `KNOWABLE` are the lowest bits."""
    needed = [store for part in parts for store in sorted(part.needs)]
    fixed = [TIME, STAGE, FLAGS, MILESTONES, HEALTH, *(f"span:{name}" for name in definition.events)]
    read = [store for part in parts for store in sorted(part.stores)]
    written = [write.store for part in parts for write in part.writes]
    traits = [f"trait:{trait}" for of in definition.events.values() for trait in of.sets]
    return list(dict.fromkeys([*needed, *fixed, *read, *written, *traits]))


def _reached(make: Compiler, definition: Definition) -> Iterable[MilestoneRule]:
    for name, milestone in definition.milestones.items():
        if milestone.when:
            yield MilestoneRule(name, make.rule(name, milestone.when, (), "0d", "Reached: {why}."))


def _health_classes(make: Compiler) -> tuple[str, ...]:
    health = make.definition.health
    metrics = (
        [measure.metric for each in health.dimensions.values() for measure in each.measures.values()] if health else []
    )
    return tuple(dict.fromkeys(of for metric in metrics for of in make.parts[metric].classes))


def _setter(trait: str, property_: str) -> Writer:
    def write(account: Account, hit: Hit) -> bool:
        return property_ in hit.properties and set_trait(account, trait, hit.at, hit.properties[property_])

    return write
