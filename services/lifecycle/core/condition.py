"""Does this hold of the account now, and what exactly was compared?"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from services.lifecycle.core.definition.model import AnyOf, When
from services.lifecycle.core.metrics.part import Part
from services.lifecycle.core.turn import Turn
from shared.contracts.evidence import Clause
from shared.expr import Expr, compared

Holds = Callable[[Turn], bool]


class Test(NamedTuple):
    """One expression. `negated` stands under `unless`: it holds while the expression is not certainly true."""

    expr: Expr
    holds: Holds
    negated: bool = False

    def needs(self, parts: Mapping[str, Part]) -> frozenset[str]:
        """The stores without which it is unknown, and so does not hold."""
        if self.negated or not self.expr.strict:
            return frozenset()
        return frozenset[str]().union(*(parts[name].needs for name in self.expr.names))

    def clause(self, turn: Turn) -> Clause:
        """What it saw."""
        text = f"not ({self.expr.text})" if self.negated else self.expr.text
        values = {name: turn[name] for name in self.expr.names}
        return Clause(text, values, self.holds(turn), self.expr.threshold)


class Condition:
    """All of `when` (of an `any` group, one) and none of `unless`. An unknown value makes nothing true."""

    __slots__ = ("groups", "holds", "names", "tests")

    def __init__(self, when: When, unless: Iterable[str] = ()) -> None:
        self.groups = [_group(one) for one in when] + [(_test(text, negated=True),) for text in unless]
        self.tests = tuple(test for group in self.groups for test in group)
        self.holds = _all([_any([test.holds for test in group]) for group in self.groups])
        self.names = tuple(dict.fromkeys(name for test in self.tests for name in test.expr.names))

    def needs(self, parts: Mapping[str, Part]) -> frozenset[str]:
        """The stores without which it cannot hold: of an `any` group, those that every alternative needs."""
        groups = [[test.needs(parts) for test in group] for group in self.groups]
        return frozenset[str]().union(*(frozenset.intersection(*group) for group in groups))

    def possible(self, stage: str) -> bool:
        """Could it hold in this stage, whatever the other values are?"""
        about = (group[0] for group in self.groups if len(group) == 1 and group[0].expr.names == ("stage",))
        return all(test.expr.holds({"stage": stage}) is not test.negated for test in about)

    def clauses(self, turn: Turn) -> list[Clause]:
        """Every expression with the values it saw, held or not."""
        return [test.clause(turn) for test in self.tests]


def _group(one: str | AnyOf) -> tuple[Test, ...]:
    return tuple(map(_test, one.any)) if isinstance(one, AnyOf) else (_test(one),)


def _all(each: list[Holds]) -> Holds:
    if len(each) == 1:
        return each[0]

    def holds(turn: Turn) -> bool:
        for one in each:  # noqa: SIM110  a generator costs more than what it asks
            if not one(turn):
                return False
        return True

    return holds


def _any(each: list[Holds]) -> Holds:
    if len(each) == 1:
        return each[0]

    def holds(turn: Turn) -> bool:
        for one in each:  # noqa: SIM110  as above
            if one(turn):
                return True
        return False

    return holds


def _test(text: str, negated: bool = False) -> Test:
    expr = Expr(text)
    holds = _plain(expr, expr.compare) if expr.compare else _general(expr)
    return Test(expr, _not(holds) if negated else holds, negated)


def _not(holds: Holds) -> Holds:
    return lambda turn: not holds(turn)


def _plain(expr: Expr, compare: Callable[[Any, Any], bool]) -> Holds:
    """A comparison with a literal needs no CEL: most clauses of most definitions, and the cost of an event."""
    name, literal = expr.names[0], expr.threshold
    kind = literal.__class__

    def holds(turn: Turn) -> bool:
        value = turn[name]
        if value.__class__ is kind:
            return compare(value, literal)
        return compared(compare, value, literal) is True

    return holds


def _general(expr: Expr) -> Holds:
    return lambda turn: expr.holds({name: turn[name] for name in expr.names})
