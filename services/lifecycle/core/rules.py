"""Rules: conditions that must hold for some time, and the reason that says why one fired."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import reduce
from operator import or_
from string import Formatter
from typing import Any, NamedTuple

from services.lifecycle.core.evaluation import Evaluation
from services.lifecycle.core.schema_types import AnyOf, When
from services.lifecycle.core.state import latest_events
from shared.contracts.evidence import Clause, Evidence, Value
from shared.expr import Expr, compare_values
from shared.wording import PLAIN, Wording

WHY = "why"
"""`{why}` in a reason stands for the clauses that are satisfied, with their values, in words."""

Holds = Callable[[Evaluation], bool]
Needs = Callable[[str], int]
"""A metric to the bits of the stores without which it is unknown."""


class Test(NamedTuple):
    """One expression, and the bits of the stores without which it is unknown.

    `negated` stands under `unless`: it holds while the expression is not certainly true.
    """

    expr: Expr
    holds: Holds
    needs: int
    negated: bool = False

    def decided(self, stage: str, known_stores: int) -> bool | None:
        """Its value for every account in this stage of which these stores are known; None where that depends."""
        if self.needs & ~known_stores:
            return self.negated
        if self.expr.names == ("stage",):
            return self.expr.holds({"stage": stage}) is not self.negated
        return None

    def clause(self, evaluation: Evaluation) -> Clause:
        """What it saw."""
        text = f"not ({self.expr.text})" if self.negated else self.expr.text
        values = {name: evaluation[name] for name in self.expr.names}
        return Clause(text, values, self.holds(evaluation), self.expr.threshold)


class Condition:
    """All of `when` (of an `any` group, one) and none of `unless`. An unknown value makes nothing true."""

    __slots__ = ("groups", "holds", "names", "tests")

    def __init__(self, when: When, unless: Iterable[str], needs: Needs) -> None:
        guards = ((_test(text, needs, negated=True),) for text in unless)
        self.groups = [*(_group(item, needs) for item in when), *guards]
        self.tests = tuple(test for group in self.groups for test in group)
        self.holds = _all([_any([test.holds for test in group]) for group in self.groups])
        self.names = tuple(dict.fromkeys(name for test in self.tests for name in test.expr.names))

    def narrowed(self, stage: str, known_stores: int) -> Holds:
        """What remains to be asked of an account in this stage of which these stores are known. `never`: it cannot hold."""
        asked = []
        for group in self.groups:
            decided = {test: test.decided(stage, known_stores) for test in group}
            if True in decided.values():
                continue
            open_tests = [test.holds for test, value in decided.items() if value is None]
            if not open_tests:
                return never
            asked.append(_any(open_tests))
        return _all(asked)

    def clauses(self, evaluation: Evaluation) -> list[Clause]:
        """Every expression with the values it saw, satisfied or not."""
        return [test.clause(evaluation) for test in self.tests]


def never(_: Evaluation) -> bool:
    """It cannot hold."""
    return False


def _group(item: str | AnyOf, needs: Needs) -> tuple[Test, ...]:
    return tuple(_test(text, needs) for text in item.any) if isinstance(item, AnyOf) else (_test(item, needs),)


def _all(each: list[Holds]) -> Holds:
    if len(each) == 1:
        return each[0]

    def holds(evaluation: Evaluation) -> bool:
        for test in each:  # noqa: SIM110  a generator costs more than what it asks
            if not test(evaluation):
                return False
        return True

    return holds


def _any(each: list[Holds]) -> Holds:
    if len(each) == 1:
        return each[0]

    def holds(evaluation: Evaluation) -> bool:
        for test in each:  # noqa: SIM110  as above
            if test(evaluation):
                return True
        return False

    return holds


def _test(text: str, needs: Needs, negated: bool = False) -> Test:
    expr = Expr(text)
    holds = _plain(expr, expr.compare) if expr.compare else _general(expr)
    unknown_without = reduce(or_, map(needs, expr.names), 0) if expr.strict else 0
    return Test(expr, _not(holds) if negated else holds, unknown_without, negated)


def _not(holds: Holds) -> Holds:
    return lambda evaluation: not holds(evaluation)


def _plain(expr: Expr, compare: Callable[[Any, Any], bool]) -> Holds:
    """A comparison with a literal needs no CEL: most clauses of most definitions, and the cost of an event."""
    name, literal = expr.names[0], expr.threshold
    kind = literal.__class__

    def holds(evaluation: Evaluation) -> bool:
        value = evaluation[name]
        if value.__class__ is kind:
            return compare(value, literal)
        return compare_values(compare, value, literal) is True

    return holds


def _general(expr: Expr) -> Holds:
    return lambda evaluation: expr.holds({name: evaluation[name] for name in expr.names})


class ReasonTemplate:
    """`{seats} seats, {seat_utilisation:.0%} in use`: names of metrics, with Python's format after a colon."""

    __slots__ = ("names", "parts", "wording")

    def __init__(self, text: str, wording: Wording = PLAIN) -> None:
        """Raise ValueError for braces that do not match, or a format that is none."""
        self.wording = wording
        self.parts = [(literal, name, spec or "") for literal, name, spec, _ in Formatter().parse(text)]
        for _, _, spec in self.parts:
            format(0.0, spec)
        self.names = tuple(name for _, name, _ in self.parts if name is not None and name != WHY)

    def render(self, evaluation: Evaluation, clauses: list[Clause]) -> str:
        """The sentence."""
        return "".join(literal + self._filled(name, spec, evaluation, clauses) for literal, name, spec in self.parts)

    def _filled(self, name: str | None, spec: str, evaluation: Evaluation, clauses: list[Clause]) -> str:
        if name is None:
            return ""
        return self.wording.why(clauses) if name == WHY else format_value(evaluation[name], spec)


def format_value(value: Value, spec: str = "") -> str:
    """A value as a person writes it: 3, 0.83, yes, unknown."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value.replace("_", " ")
    return format(value, spec) if spec else f"{round(value, 2):g}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions that must hold for `hold` without a break. `moved_by` are the bits of the stores it reads.

    `holds` asks what remains of the condition for some stage and some known stores; the evidence shows all of it.
    """

    name: str
    condition: Condition
    reason: ReasonTemplate
    hold: timedelta
    moved_by: int
    classes: tuple[str, ...]
    holds: Holds

    def ready(self, evaluation: Evaluation) -> bool:
        """Do they hold, and have they for long enough? Remembers since when."""
        holds = self.holds(evaluation)
        if not self.hold:
            return holds
        since = evaluation.account.holding_since
        if not holds:
            since.pop(self.name, None)
            return False
        return evaluation.midnight() - since.setdefault(self.name, evaluation.account.clock) >= self.hold

    def evidence(self, evaluation: Evaluation) -> Evidence:
        """Why this rule fired: to be asked before the state changes."""
        clauses = self.condition.clauses(evaluation)
        return evaluation.evidence(
            rule=self.name,
            reason=self.reason.render(evaluation, clauses),
            events=latest_events(evaluation.account, self.classes),
            clauses=clauses,
            since=evaluation.account.holding_since.get(self.name),
        )

    def narrowed(self, stage: str, known_stores: int) -> "Rule":
        """The same rule, asking only what is not decided for an account in this stage of which these stores are known."""
        return replace(self, holds=self.condition.narrowed(stage, known_stores))


@dataclass(frozen=True, slots=True)
class EdgeRule:
    """An edge out of some stages."""

    rule: Rule
    sources: frozenset[str]
    to: str
    min_dwell: timedelta


@dataclass(frozen=True, slots=True)
class FlagRule:
    """One rule raises it, another clears it."""

    name: str
    raise_rule: Rule
    clear_rule: Rule


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
class AffectedRules:
    """The rules to ask after something moved, for an account in a given stage. `idle`: there are none."""

    milestones: tuple[MilestoneRule, ...]
    flags: tuple[FlagRule, ...]
    edges: tuple[EdgeRule, ...]
    signals: tuple[SignalRule, ...]
    idle: bool
