"""Checks of a definition: every mistake at once, each with its line."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import get_args

from services.lifecycle.core.definition import Definition, Dimension, Edge, Flag, Health, Signal
from services.lifecycle.core.findings import DeclaredNames, Findings
from services.lifecycle.core.metrics.moments import Open
from services.lifecycle.core.metrics.table import Formula
from services.lifecycle.core.possible_values import COUNT, FLAG, Values, can_hold_together, demand
from services.lifecycle.core.schema_types import AnyOf, When
from shared.contracts.lifecycle import Band, BuiltInMetric
from shared.definitions import At, DefinitionError, Loaded, Mistake
from shared.expr import Expr, ExprError

_MAX_POINTS = 100
_MISSING: BuiltInMetric = "required_milestones_missing"


def check(loaded: Loaded[Definition]) -> None:
    """Raise DefinitionError with everything that is wrong."""
    if found := list(_mistakes(loaded)):
        raise DefinitionError(found)


def built_in_names(definition: Definition) -> set[str]:
    """The metrics that are there without being declared, but flags."""
    return {*get_args(BuiltInMetric), *(f"{name}_reached" for name in definition.milestones)}


def _values(definition: Definition) -> dict[str, Values]:
    """What each name of a condition can be."""
    built_in: Mapping[BuiltInMetric, Values] = {
        "stage": Values(words=frozenset(definition.stages)),
        "days_in_stage": COUNT,
        "tenure_days": COUNT,
        "days_since_progress": COUNT,
        "required_milestones_missing": COUNT,
        "health_score": Values(0, _MAX_POINTS),
        "health_band": Values(words=frozenset(get_args(Band))),
        "health_coverage": Values(0, 1),
    }
    flags = [*definition.flags, *(f"{name}_reached" for name in definition.milestones)]
    metrics = {name: metric.values() for name, metric in definition.metrics.items()}
    return dict(built_in) | dict.fromkeys(flags, FLAG) | metrics


def _mistakes(loaded: Loaded[Definition]) -> Iterator[Mistake]:
    definition = loaded.value
    built_in = built_in_names(definition)
    names = DeclaredNames(
        events=definition.events,
        with_feature=[name for name, of in definition.events.items() if of.feature is not None],
        stages=definition.stages,
        milestones=definition.milestones,
        values=_values(definition),
    )
    find = Findings(loaded, names)
    yield from _events(find, definition)
    yield from _names(find, definition, built_in)
    for name, metric in definition.metrics.items():
        yield from metric.check(find, ("metrics", name))
    yield from _milestones(find, definition)
    yield from _cycles(find, definition)
    yield from _rules(find, definition)
    yield from _stages(find, definition)
    if definition.health is not None:
        yield from _health(find, definition.health)


def _events(find: Findings, definition: Definition) -> Iterator[Mistake]:
    for name, of in definition.events.items():
        if not of.match:
            yield find.at(("events", name, "match"), f"event class '{name}' matches nothing")
        if of.where:
            yield from find.expression(("events", name, "where"), of.where, declared=None)
    for index, fact in enumerate(definition.facts):
        yield from find.event_class(("facts", index), fact)
    if definition.removes_user:
        yield from find.event_class(("removes_user",), definition.removes_user)
    yield from _trust(find, definition)


def _trust(find: Findings, definition: Definition) -> Iterator[Mistake]:
    """What a browser may not say in one place it may not say in another either."""
    for name, metric in definition.metrics.items():
        classes = (
            [of for of in (*metric.opened, *metric.closed) if of in definition.events]
            if isinstance(metric, Open)
            else []
        )
        believed = [of for of in classes if not definition.is_trusted(of)]
        if believed and any(definition.events[of].trusted for of in classes):
            yield find.at(
                ("metrics", name),
                f"'{name}' counts trusted events, but '{believed[0]}' is not trusted: a browser could tell it",
            )
    told = {trait: name for name, of in definition.events.items() if definition.is_trusted(name) for trait in of.sets}
    for index, trait in enumerate(definition.browser_traits or ()):
        if trait in told:
            yield find.at(("browser_traits", index), f"'{trait}' is set by '{told[trait]}', which no browser may tell")


def _names(find: Findings, definition: Definition, built_in: set[str]) -> Iterator[Mistake]:
    """A name means one thing in a condition."""
    for section in ("metrics", "flags", "milestones"):
        for name in getattr(definition, section):
            if not name.isidentifier():
                yield find.at((section, name), f"'{name}' cannot stand in a condition: letters, digits and _ only")
    for name in definition.metrics:
        if name in built_in or name in definition.flags:
            yield find.at(("metrics", name), f"metric '{name}' has the name of something that is there already")
    for name in definition.flags:
        if name in built_in:
            yield find.at(("flags", name), f"flag '{name}' has the name of something that is there already")


def _milestones(find: Findings, definition: Definition) -> Iterator[Mistake]:
    for name, milestone in definition.milestones.items():
        at = ("milestones", name)
        if (milestone.of is None) == (not milestone.when):
            yield find.at(at, f"milestone '{name}' needs either 'of' or 'when'")
        if milestone.of is not None:
            yield from find.event_class((*at, "of"), milestone.of)
        if milestone.when:
            yield from find.when((*at, "when"), milestone.when)
        if isinstance(milestone.required, str):
            yield from find.condition((*at, "required"), milestone.required)


def _cycles(find: Findings, definition: Definition) -> Iterator[Mistake]:
    """A formula that needs itself, however far around."""
    reads = {name: _names_in(metric.cel) for name, metric in definition.metrics.items() if isinstance(metric, Formula)}
    required = [each.required for each in definition.milestones.values() if isinstance(each.required, str)]
    reads[_MISSING] = tuple(name for text in required for name in _names_in(text))
    for name in reads:
        around = _around(name, name, reads, ())
        if around and name == min(around):
            where: At = ("milestones",) if name == _MISSING else ("metrics", name)
            yield find.at(where, f"metrics need each other in a circle: {' -> '.join((*around, name))}")


def _around(name: str, start: str, reads: dict[str, tuple[str, ...]], path: tuple[str, ...]) -> tuple[str, ...]:
    for inner in reads.get(name, ()):
        if inner == start:
            return (*path, name)
        if inner not in path and inner != name and (found := _around(inner, start, reads, (*path, name))):
            return found
    return ()


def _names_in(text: str) -> tuple[str, ...]:
    try:
        return Expr(text).names
    except ExprError:
        return ()


def _rules(find: Findings, definition: Definition) -> Iterator[Mistake]:
    for index, edge in enumerate(definition.edges):
        yield from _edge_rule(find, ("edges", index), edge)
    for name, flag in definition.flags.items():
        yield from _flag(find, ("flags", name), flag)
    for name, signal in definition.signals.items():
        yield from _signal(find, ("signals", name), signal)
    yield from _undone(find, definition)


def _edge_rule(find: Findings, at: At, edge: Edge) -> Iterator[Mistake]:
    yield from find.when((*at, "when"), edge.when)
    yield from find.unless((*at, "unless"), edge.unless)
    yield from find.holds_ever((*at, "when"), edge.when, edge.unless)
    yield from find.duration((*at, "hold"), edge.hold)
    yield from find.duration((*at, "min_dwell"), edge.min_dwell)
    yield from find.reason((*at, "reason"), edge.reason)


def _flag(find: Findings, at: At, flag: Flag) -> Iterator[Mistake]:
    yield from find.when((*at, "raise_when"), flag.raise_when)
    yield from find.unless((*at, "raise_unless"), flag.raise_unless)
    yield from find.holds_ever((*at, "raise_when"), flag.raise_when, flag.raise_unless)
    yield from find.duration((*at, "hold"), flag.hold)
    yield from find.when((*at, "clear_when"), flag.clear_when)
    yield from find.unless((*at, "clear_unless"), flag.clear_unless)
    yield from find.holds_ever((*at, "clear_when"), flag.clear_when, flag.clear_unless)
    yield from find.duration((*at, "clear_hold"), flag.clear_hold)
    yield from find.reason((*at, "reason"), flag.reason)


def _signal(find: Findings, at: At, signal: Signal) -> Iterator[Mistake]:
    yield from find.when((*at, "when"), signal.when)
    yield from find.unless((*at, "unless"), signal.unless)
    yield from find.holds_ever((*at, "when"), signal.when, signal.unless)
    yield from find.duration((*at, "hold"), signal.hold)
    yield from find.duration((*at, "cooldown"), signal.cooldown)
    yield from find.reason((*at, "reason"), signal.reason)


def _undone(find: Findings, definition: Definition) -> Iterator[Mistake]:
    """Two rules that undo each other at the same values would go on for ever."""
    values = find.names.values
    for name, flag in definition.flags.items():
        raised, cleared = demand(flag.raise_when, flag.raise_unless), demand(flag.clear_when, flag.clear_unless)
        if shared := can_hold_together(raised, cleared, values):
            problem = f"'{name}' would be raised and cleared at the same values of {', '.join(shared)}: leave a gap"
            yield find.at(("flags", name, "clear_when"), problem)
    undamped = [(index, edge) for index, edge in enumerate(definition.edges) if not _is_damped(edge)]
    for (_, there), (index, back) in combinations(undamped, 2):
        if there.to not in back.sources(definition.stages) or back.to not in there.sources(definition.stages):
            continue
        if shared := can_hold_together(demand(there.when, there.unless), demand(back.when, back.unless), values):
            problem = (
                f"it undoes '{there.rule_name}' at the same values of {', '.join(shared)}: leave a gap, or a 'hold'"
            )
            yield find.at(("edges", index, "when"), problem)


def _is_damped(edge: Edge) -> bool:
    """Whether time must pass before it fires."""
    return (edge.hold, edge.min_dwell) != ("0d", "0d") or any("days_in_stage" in text for text in _texts(edge.when))


def _texts(when: When) -> Iterator[str]:
    for item in when:
        yield from item.any if isinstance(item, AnyOf) else (item,)


def _stages(find: Findings, definition: Definition) -> Iterator[Mistake]:
    """Known stages, no edge from a stage to itself, every stage reachable, every rule with its own name."""
    if not definition.stages:
        yield find.at(("stages",), "no stages")
        return
    for index, edge in enumerate(definition.edges):
        yield from _ends(find, definition, ("edges", index), edge)
    yield from _rule_names(find, definition)
    yield from _unreachable(find, definition)


def _ends(find: Findings, definition: Definition, at: At, edge: Edge) -> Iterator[Mistake]:
    yield from find.stage((*at, "to"), edge.to)
    sources = edge.sources(definition.stages)
    for name in sources:
        yield from find.stage((*at, "from"), name)
    if edge.to in sources:
        yield find.at((*at, "to"), f"the edge leads from '{edge.to}' to itself")
    terminal = [name for name in sources if name in definition.stages and definition.stages[name].terminal]
    if terminal and (edge.hold, edge.min_dwell) != ("0d", "0d"):
        yield find.at((*at, "hold"), f"time stands still in '{terminal[0]}': an edge out of it cannot wait")


def _rule_names(find: Findings, definition: Definition) -> Iterator[Mistake]:
    names = [edge.rule_name for edge in definition.edges]
    uses = Counter(names)
    for index, name in enumerate(names):
        if uses[name] > 1:
            yield find.at(("edges", index), f"{uses[name]} edges are called '{name}': give each a 'name'")
        if name in definition.signals:
            yield find.at(("edges", index), f"edge and signal are both called '{name}'")


def _unreachable(find: Findings, definition: Definition) -> Iterator[Mistake]:
    reached, frontier = set[str](), {next(iter(definition.stages))}
    while frontier:
        reached |= frontier
        frontier = {edge.to for edge in definition.edges if reached & set(edge.sources(definition.stages))} - reached
    for name in definition.stages:
        if name not in reached:
            yield find.at(("stages", name), f"no edges lead to stage '{name}' from the first one")


def _health(find: Findings, health: Health) -> Iterator[Mistake]:
    yield from _bounds(find, health)
    for name, each in health.dimensions.items():
        yield from _dimension(find, ("health", "dimensions", name), each)
    for name, cap in health.caps.items():
        yield from find.when(("health", "caps", name, "when"), cap.when)
        if not 0 <= cap.max <= _MAX_POINTS:
            yield find.at(("health", "caps", name, "max"), "a cap lies between 0 and 100")


def _bounds(find: Findings, health: Health) -> Iterator[Mistake]:
    yield from find.duration(("health", "new_account"), health.new_account)
    if not health.dimensions:
        yield find.at(("health", "dimensions"), "no dimensions")
    if not 0 < health.yellow < health.green <= _MAX_POINTS:
        yield find.at(("health", "green"), "bands must be 0 < yellow < green <= 100")
    if not 0 <= health.min_coverage <= 1:
        yield find.at(("health", "min_coverage"), "a share lies between 0 and 1")
    if health.evaluations < 1 or health.hysteresis < 0:
        yield find.at(("health", "evaluations"), "at least one evaluation, and hysteresis not below 0")


def _dimension(find: Findings, at: At, each: Dimension) -> Iterator[Mistake]:
    if each.weight <= 0:
        yield find.at((*at, "weight"), f"weight {each.weight:g} is not positive")
    if not each.measures:
        yield find.at((*at, "measures"), "no measures")
    if each.stale_when:
        yield from find.when((*at, "stale_when"), each.stale_when)
    for name, measure in each.measures.items():
        here = (*at, "measures", name)
        yield from find.number((*here, "metric"), measure.metric)
        if measure.weight <= 0:
            yield find.at((*here, "weight"), f"weight {measure.weight:g} is not positive")
        if not measure.points:
            yield find.at((*here, "points"), "no points")
        elif not all(0 <= points <= _MAX_POINTS for points in measure.points.values()):
            yield find.at((*here, "points"), "points lie between 0 and 100")
