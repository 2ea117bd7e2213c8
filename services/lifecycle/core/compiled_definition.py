"""Compiled definition: all that folding needs of `lifecycle.yaml`, looked up rather than worked out.

Its parts in this order: event classes (which of them an event belongs to, and the feature that it names), metrics (the
declared ones, and the built-in ones that every account has), and the rules made of them.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from fnmatch import translate
from functools import reduce
from operator import or_
from typing import NamedTuple, assert_never, get_args

from services.lifecycle.core.definition import DESCRIPTIVE_TRAITS, Definition, Edge, EventClass, Feature, Flag, Signal
from services.lifecycle.core.definition_checks import check
from services.lifecycle.core.evaluation import (
    EVERYTHING,
    FIRST_SEEN,
    FLAGS,
    HEALTH,
    MILESTONES,
    STAGE,
    TIME,
    USERS,
    Evaluation,
    MetricIndex,
    ReadMetric,
)
from services.lifecycle.core.health import CompiledHealth, compile_health
from services.lifecycle.core.metrics.kind import (
    CompiledByName,
    CompiledMetric,
    StoreWrite,
    TypedTrait,
    Writer,
    counts_days,
    days_between,
)
from services.lifecycle.core.metrics.moments import span_store, span_writer
from services.lifecycle.core.metrics.traits import trait_setter, trait_store
from services.lifecycle.core.quiet_days import QuietDays, quiet_days
from services.lifecycle.core.rules import (
    AffectedRules,
    Condition,
    EdgeRule,
    FlagRule,
    MilestoneRule,
    ReasonTemplate,
    Rule,
    SignalRule,
    never,
)
from services.lifecycle.core.schema_types import When, duration
from services.lifecycle.core.state import Account
from shared.contracts.lifecycle import SNAPSHOT_METRICS, BuiltInMetric
from shared.contracts.usage import UsageEvent
from shared.definitions import Loaded
from shared.expr import Expr
from shared.mail_events import read_mail_event

MAX_NAMES = 10_000
"""Names are the product's to invent: past this many, the cache starts again."""
BUILT_IN: tuple[BuiltInMetric, ...] = get_args(BuiltInMetric)
KNOWABLE = (1 << 62) - 1
"""The stores of which an account remembers whether they were ever written: as many as an integer in MessagePack has bits."""
_MAX_AFFECTED = 20_000


class CompiledEventClass(NamedTuple):
    """One event class and all that its events do. `writers` come with the bits of the stores they write.

    Of a `trusted` class a browser may tell nothing; of any other, an event of a browser goes to `browser_writers`, which are
    all but those that set traits (`sets`: the trait, and the property it is copied from). `typed` are the properties that
    become a trait which metrics read as a number or a date; `stores` are what the metrics keep of it.
    """

    name: str
    pattern: re.Pattern[str]
    where: Expr | None
    feature: Feature | None
    writers: tuple[tuple[int, Writer], ...]
    browser_writers: tuple[tuple[int, Writer], ...]
    sets: tuple[tuple[str, str], ...]
    trusted: bool
    properties: bool
    milestones: tuple[str, ...]
    is_fact: bool
    removes_user: bool
    typed: tuple[TypedTrait, ...]
    stores: frozenset[str]


class Match(NamedTuple):
    """A class that an event's name belongs to, and the feature it names (None: the property `feature_property` does).

    It `announces` when its events say something by themselves.
    """

    event_class: CompiledEventClass
    feature: str | None
    feature_property: str
    announces: bool


class PlainRoute(NamedTuple):
    """What the classes of an event's name do together where none asks anything of the event first: most names of most products."""

    feature: str
    writers: tuple[tuple[int, Writer], ...]
    names: tuple[str, ...]
    announcing: tuple[CompiledEventClass, ...]


class Route(NamedTuple):
    """The classes of an event's name, whether any of them looks into the properties, and whether the name is about mail to somebody."""

    matches: tuple[Match, ...]
    properties: bool
    plain: PlainRoute | None
    about_mail: bool


class Router:
    """Names to routes; each name is matched once."""

    __slots__ = ("classes", "routes")

    def __init__(self, classes: list[CompiledEventClass]) -> None:
        self.classes = classes
        self.routes: dict[str, Route] = {}

    def route(self, event: UsageEvent) -> Route:
        """The route of this event's name. Views are called `page:name` and `screen:name`."""
        name = event.name if event.type == "track" else f"{event.type}:{event.name}"
        return self.routes.get(name) or self._match(name, event.name)

    def unmatched(self, events: Iterable[UsageEvent]) -> list[UsageEvent]:
        """The tracked events whose names no class has."""
        routes, tracked = self.routes, [event for event in events if event.type == "track"]
        names = {event.name for event in tracked}
        if all(name in routes and routes[name].matches for name in names):  # as most are
            return []
        return [event for event in tracked if not self.route(event).matches]

    def _match(self, name: str, bare_name: str) -> Route:
        matches = tuple(_matched(each, bare_name) for each in self.classes if each.pattern.fullmatch(name))
        if len(self.routes) >= MAX_NAMES:
            self.routes.clear()
        looks = any(match.event_class.properties or match.feature is None for match in matches)
        about_mail = name == bare_name and read_mail_event(name) is not None
        route = self.routes[name] = Route(matches, looks or about_mail, _plain(matches), about_mail)
        return route


def _plain(matches: Collection[Match]) -> PlainRoute | None:
    """None where a class has a condition, is trusted, sets traits, removes people, or finds its feature in the properties."""
    classes, features = [match.event_class for match in matches], {match.feature for match in matches} - {""}
    if any(of.where or of.trusted or of.sets or of.removes_user for of in classes):
        return None
    feature = features.pop() if features else ""
    if feature is None or features:
        return None
    return PlainRoute(
        feature,
        tuple(writer for of in classes for writer in of.writers),
        tuple(of.name for of in classes),
        tuple(match.event_class for match in matches if match.announces),
    )


def pattern(of: EventClass) -> re.Pattern[str]:
    """All globs of the class in one expression."""
    return re.compile("|".join(translate(glob) for glob in of.match))


def _matched(each: CompiledEventClass, name: str) -> Match:
    announces = bool(each.milestones or each.is_fact or each.removes_user)
    return Match(each, _feature(each.feature, name), (each.feature and each.feature.property) or "", announces)


def _feature(feature: Feature | None, name: str) -> str | None:
    """The feature as far as the name tells; empty where the class has none."""
    if feature is None:
        return ""
    _, separator, after = name.partition(feature.after) if feature.after else ("", "", "")
    if separator and after:
        return after
    return None if feature.property else name


def compile_metrics(definition: Definition) -> dict[str, CompiledMetric]:
    """Every name a condition may use. The definition is sound: `check` has found no cycle."""
    metrics = _of_milestones_and_flags(definition)

    def compiled(name: str) -> CompiledMetric:
        if name not in metrics:
            metrics[name] = compile_one(name)
        return metrics[name]

    def compile_one(name: str) -> CompiledMetric:
        for built_in in BUILT_IN:
            if name == built_in:
                return _built_in(built_in, definition, compiled)
        return _with_setters(definition.metrics[name].compile(name, compiled), definition)

    for name in (*BUILT_IN, *definition.metrics):
        compiled(name)
    return metrics


def _built_in(  # noqa: PLR0911  one for each name
    name: BuiltInMetric, definition: Definition, compiled: CompiledByName
) -> CompiledMetric:
    match name:
        case "stage":
            return CompiledMetric(lambda now: now.account.stage, frozenset({STAGE}), timed=False)
        case "days_in_stage":
            return _counted_days(lambda now: days_between(now, now.account.entered_at), STAGE)
        case "tenure_days":
            return _counted_days(lambda now: days_between(now, now.account.first_seen), FIRST_SEEN)
        case "days_since_progress":
            progress = _counted_days(_days_since_progress, MILESTONES, FIRST_SEEN)
            return progress._replace(classes=milestone_classes(definition))
        case "required_milestones_missing":
            return _milestones_missing(definition, compiled)
        case "health_score":
            return CompiledMetric(lambda now: now.account.health.score, frozenset({HEALTH}), timed=False)
        case "health_band":
            return CompiledMetric(lambda now: now.account.health.band, frozenset({HEALTH}), timed=False)
        case "health_coverage":
            return CompiledMetric(lambda now: now.account.health.coverage, frozenset({HEALTH}), timed=False)
        case _:
            assert_never(name)


def _counted_days(read: ReadMetric, *stores: str) -> CompiledMetric:
    return CompiledMetric(read, frozenset(stores), next_move=counts_days(read))


def milestone_classes(definition: Definition) -> tuple[str, ...]:
    """The event classes that reach milestones."""
    return tuple(dict.fromkeys(milestone.of for milestone in definition.milestones.values() if milestone.of))


def _of_milestones_and_flags(definition: Definition) -> dict[str, CompiledMetric]:
    reached = {
        f"{name}_reached": CompiledMetric(
            _is_reached(name), frozenset({MILESTONES}), (milestone.of,) if milestone.of else (), timed=False
        )
        for name, milestone in definition.milestones.items()
    }
    flags = {name: CompiledMetric(_is_raised(name), frozenset({FLAGS}), timed=False) for name in definition.flags}
    return {**reached, **flags}


def _milestones_missing(definition: Definition, compiled: CompiledByName) -> CompiledMetric:
    """How many required milestones are not reached; each may have the condition under which it is required."""
    required = {
        name: Expr(milestone.required) if isinstance(milestone.required, str) else None
        for name, milestone in definition.milestones.items()
        if milestone.required
    }
    inputs = [compiled(name) for expr in required.values() if expr is not None for name in expr.names]

    def read(evaluation: Evaluation) -> float:
        reached = evaluation.account.milestones
        return float(sum(name not in reached and _holds(expr, evaluation) for name, expr in required.items()))

    stores = frozenset({MILESTONES}).union(*(metric.stores for metric in inputs))
    return CompiledMetric(
        read,
        stores,
        milestone_classes(definition),
        timed=any(metric.timed for metric in inputs),
        exprs=tuple(filter(None, required.values())),
    )


def _holds(expr: Expr | None, evaluation: Evaluation) -> bool:
    return expr is None or expr.holds({name: evaluation[name] for name in expr.names})


def _days_since_progress(evaluation: Evaluation) -> float:
    """Days since the last milestone, or since the account was first seen."""
    account = evaluation.account
    return days_between(evaluation, max(account.milestones.values(), default=account.first_seen))


def _is_reached(milestone: str) -> ReadMetric:
    return lambda evaluation: milestone in evaluation.account.milestones


def _is_raised(flag: str) -> ReadMetric:
    return lambda evaluation: flag in evaluation.account.flags


def _with_setters(metric: CompiledMetric, definition: Definition) -> CompiledMetric:
    """A trait may also have been set by an event: then that event is evidence."""
    setters = [
        name for name, of in definition.events.items() for trait in of.sets if trait_store(trait) in metric.stores
    ]
    return metric._replace(classes=(*metric.classes, *setters))


@dataclass(frozen=True, slots=True)
class CompiledDefinition:
    """Shared by all accounts; nothing in it depends on any (`_affected` is a cache).

    `knowable` are the bits of the stores without which a metric is unknown, `user_stores` of those that count users.
    `browser_traits` are the traits that a browser may tell while no server has. `text` is the file it was read from.
    """

    definition: Definition
    version: str
    metrics: MetricIndex
    knowable: int
    user_stores: int
    router: Router
    milestones: tuple[MilestoneRule, ...]
    flags: tuple[FlagRule, ...]
    edges: tuple[EdgeRule, ...]
    signals: tuple[SignalRule, ...]
    health: CompiledHealth | None
    first_stage: str
    terminal: frozenset[str]
    edge_names: frozenset[str]
    typed_traits: dict[str, TypedTrait]
    browser_traits: frozenset[str]
    quiet_days: QuietDays
    text: bytes = b""
    _affected: dict[tuple[int, str, int], AffectedRules] = field(default_factory=dict)

    def edges_out_of(self, stage: str) -> Iterable[EdgeRule]:
        """The edges out of a stage, in the order in which they may fire."""
        return (edge for edge in self.edges if stage in edge.sources)

    def edge_names_out_of(self, stage: str) -> frozenset[str]:
        """The rules of those edges."""
        return frozenset(edge.rule.name for edge in self.edges_out_of(stage))

    def affected_rules(self, moved: int, stage: str, known_stores: int = EVERYTHING) -> AffectedRules:
        """The rules to ask when these stores moved, of an account in this stage of which these are known (bits)."""
        key = (moved, stage, known_stores)
        return self._affected.get(key) or self._find_affected(key)

    def _find_affected(self, key: tuple[int, str, int]) -> AffectedRules:
        """A rule that cannot hold has not held since the stage last moved, when it was asked: so it need not be."""
        moved, stage, known_stores = key
        entered, runs = moved & self.metrics.bits[STAGE], stage not in self.terminal

        def asked(rule: Rule) -> bool:
            return bool(rule.moved_by & moved) and bool(
                entered or rule.narrowed(stage, known_stores).holds is not never
            )

        def narrowed(rule: Rule) -> Rule:
            return rule.narrowed(stage, known_stores)

        flags = tuple(each for each in self.flags if runs and (asked(each.raise_rule) or asked(each.clear_rule)))
        edges = tuple(each for each in self.edges_out_of(stage) if entered or asked(each.rule))
        signals = tuple(each for each in self.signals if runs and asked(each.rule))
        milestones = tuple(each for each in self.milestones if asked(each.rule))
        if len(self._affected) >= _MAX_AFFECTED:
            self._affected.clear()
        affected = self._affected[key] = AffectedRules(
            milestones=tuple(replace(each, rule=narrowed(each.rule)) for each in milestones),
            flags=tuple(
                replace(each, raise_rule=narrowed(each.raise_rule), clear_rule=narrowed(each.clear_rule))
                for each in flags
            ),
            edges=tuple(replace(each, rule=narrowed(each.rule)) for each in edges),
            signals=tuple(replace(each, rule=narrowed(each.rule)) for each in signals),
            idle=not (milestones or flags or edges or signals),
        )
        return affected

    def recognise(self, account: Account) -> None:
        """Note under which definition the account is, and which of the stores that matter were ever written for it."""
        stores = [
            *account.latest,
            *account.open_items,
            *map(span_store, account.spans),
            *map(trait_store, account.traits),
        ]
        written = reduce(or_, (self.metrics.bits.get(store, 0) for store in stores), 0)
        account.definition_version, account.known_stores = self.version, written & self.knowable


def compile_definition(loaded: Loaded[Definition]) -> CompiledDefinition:
    """Check the loaded file, then compile it. Raises DefinitionError with every mistake."""
    check(loaded)
    definition = loaded.value
    compiler = _Compiler(definition)
    edges = tuple(map(compiler.edge, definition.edges))
    milestones = tuple(compiler.milestones())
    flags = tuple(compiler.flag(name, flag) for name, flag in definition.flags.items())
    signals = tuple(compiler.signal(name, signal) for name, signal in definition.signals.items())
    health = compiler.health()
    rules = (
        *(milestone.rule for milestone in milestones),
        *(edge.rule for edge in edges),
        *(signal.rule for signal in signals),
        *(rule for each in flags for rule in (each.raise_rule, each.clear_rule)),
    )
    return CompiledDefinition(
        definition=definition,
        version=loaded.version,
        metrics=MetricIndex(
            version=loaded.version,
            reads={name: metric.read for name, metric in compiler.metrics.items()},
            bits=compiler.bits,
            moved_by={name: compiler.moved_by(name) for name in compiler.metrics},
            cached={},
            in_snapshot=(*definition.metrics, *SNAPSHOT_METRICS),
        ),
        knowable=compiler.mask(store for metric in compiler.metrics.values() for store in metric.needs) & KNOWABLE,
        user_stores=compiler.mask(store for store in compiler.bits if store.startswith(USERS)),
        router=Router([compiler.event_class(name, of) for name, of in definition.events.items()]),
        milestones=milestones,
        flags=flags,
        edges=edges,
        signals=signals,
        health=health,
        first_stage=next(iter(definition.stages)),
        terminal=frozenset(name for name, stage in definition.stages.items() if stage.terminal),
        edge_names=frozenset(edge.rule.name for edge in edges),
        typed_traits=compiler.typed_traits(),
        browser_traits=compiler.browser_traits(),
        quiet_days=quiet_days(compiler.metrics, rules, edges, signals, health),
        text=loaded.text,
    )


class _Compiler:
    """Metrics and bits of one definition, from which its rules are made."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.metrics = compile_metrics(definition)
        self.wording = definition.wording
        self.bits = {store: 1 << at for at, store in enumerate(_stores(definition, self.metrics.values()))}

    def mask(self, stores: Iterable[str]) -> int:
        return sum(self.bits[store] for store in set(stores))

    def needs(self, metric: str) -> int:
        return self.mask(self.metrics[metric].needs) & KNOWABLE

    def moved_by(self, metric: str) -> int:
        """The bits of all stores that can make it another value, through other metrics too."""
        of = self.metrics[metric]
        through = (self.moved_by(name) for expr in of.exprs for name in expr.names)
        return reduce(or_, through, self.mask(of.stores | of.needs) | (self.bits[TIME] if of.timed else 0))

    def rule(self, name: str, when: When, unless: Iterable[str], hold: str, reason: str, waits: bool = False) -> Rule:
        condition = Condition(when, unless, self.needs)
        metrics = [self.metrics[metric] for metric in condition.names]
        classes = dict.fromkeys(name for metric in metrics for name in metric.classes)
        moved_by = self.mask(store for metric in metrics for store in metric.stores)
        if waits or duration(hold) or any(metric.timed for metric in metrics):
            moved_by |= self.bits[TIME]
        return Rule(
            name,
            condition,
            ReasonTemplate(reason, self.wording),
            duration(hold),
            moved_by,
            tuple(classes),
            condition.holds,
        )

    def milestones(self) -> Iterable[MilestoneRule]:
        for name, milestone in self.definition.milestones.items():
            if milestone.when:
                yield MilestoneRule(name, self.rule(name, milestone.when, (), "0d", "Reached: {why}."))

    def edge(self, edge: Edge) -> EdgeRule:
        dwell = duration(edge.min_dwell)
        rule = self.rule(edge.rule_name, edge.when, edge.unless, edge.hold, edge.reason, waits=bool(dwell))
        return EdgeRule(rule, frozenset(edge.sources(self.definition.stages)), edge.to, dwell)

    def flag(self, name: str, flag: Flag) -> FlagRule:
        raised = self.rule(f"{name} raised", flag.raise_when, flag.raise_unless, flag.hold, flag.reason)
        cleared = self.rule(f"{name} cleared", flag.clear_when, flag.clear_unless, flag.clear_hold, "Recovered: {why}.")
        return FlagRule(name, raised, cleared)

    def signal(self, name: str, signal: Signal) -> SignalRule:
        cooldown = duration(signal.cooldown)
        rule = self.rule(name, signal.when, signal.unless, signal.hold, signal.reason, waits=bool(cooldown))
        return SignalRule(name, rule, cooldown)

    def health(self) -> CompiledHealth | None:
        health = self.definition.health
        if health is None:
            return None
        measures = [measure for each in health.dimensions.values() for measure in each.measures.values()]
        classes = dict.fromkeys(name for measure in measures for name in self.metrics[measure.metric].classes)
        return compile_health(health, tuple(classes), self.needs)

    def event_class(self, name: str, of: EventClass) -> CompiledEventClass:
        writes = [write for metric in self.metrics.values() for write in metric.writes if write.event_class == name]
        traits = self.typed_traits()
        is_fact, removes_user = name in self.definition.facts, name == self.definition.removes_user
        looks = bool(of.where or of.sets or is_fact or removes_user or any(write.properties for write in writes))
        writers = ((self.bits[span_store(name)], span_writer(name)), *self._writers(writes))
        setters = ((self.bits[trait_store(trait)], trait_setter(trait, source)) for trait, source in of.sets.items())
        reached = (each for each, milestone in self.definition.milestones.items() if milestone.of == name)
        return CompiledEventClass(
            name=name,
            pattern=pattern(of),
            where=Expr(of.where) if of.where else None,
            feature=of.feature,
            writers=(*writers, *setters),
            browser_writers=writers,
            sets=tuple(of.sets.items()),
            trusted=self.definition.is_trusted(name),
            properties=looks,
            milestones=tuple(reached),
            is_fact=is_fact,
            removes_user=removes_user,
            typed=tuple(traits[trait]._replace(name=source) for trait, source in of.sets.items() if trait in traits),
            stores=frozenset(write.store for write in writes),
        )

    def typed_traits(self) -> dict[str, TypedTrait]:
        """The traits that metrics read as a number or a date."""
        return {each.name: each for metric in self.metrics.values() for each in metric.typed}

    def browser_traits(self) -> frozenset[str]:
        """As the definition says, else the descriptive ones that no metric reads and no trusted event sets."""
        definition = self.definition
        if definition.browser_traits is not None:
            return frozenset(definition.browser_traits)
        read = {store for metric in self.metrics.values() for store in metric.stores}
        told = {trait for name, of in definition.events.items() if definition.is_trusted(name) for trait in of.sets}
        return frozenset(each for each in DESCRIPTIVE_TRAITS if trait_store(each) not in read and each not in told)

    def _writers(self, writes: list[StoreWrite]) -> Iterable[tuple[int, Writer]]:
        """One writer a store, keeping as long as the most demanding metric asks."""
        stores = {write.store: write for write in sorted(writes, key=lambda write: write.keep_days)}
        return [(self.bits[store], write.make(write.keep_days)) for store, write in stores.items()]


def _stores(definition: Definition, metrics: Collection[CompiledMetric]) -> list[str]:
    """Those without which a metric is unknown come first: `KNOWABLE` are the lowest bits."""
    needed = [store for metric in metrics for store in sorted(metric.needs)]
    of_decisions = [TIME, STAGE, FLAGS, MILESTONES, HEALTH, FIRST_SEEN]
    spans = map(span_store, definition.events)
    read = [store for metric in metrics for store in sorted(metric.stores)]
    written = [write.store for metric in metrics for write in metric.writes]
    traits = [trait_store(trait) for of in definition.events.values() for trait in of.sets]
    return list(dict.fromkeys([*needed, *of_decisions, *spans, *read, *written, *traits]))
