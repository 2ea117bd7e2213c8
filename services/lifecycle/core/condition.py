"""Does this hold of the account now, and what exactly was compared?"""

from collections.abc import Callable, Iterable
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from services.lifecycle.core.definition.model import AnyOf, When
from services.lifecycle.core.turn import Turn
from shared.contracts.evidence import Clause
from shared.expr import Expr, compared

Holds = Callable[[Turn], bool]
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

    def settled(self, stage: str, known: int) -> bool | None:
        """Is it decided for an account in this stage of which these stores are known, whatever happens there?"""
        if self.needs & ~known:
            return self.negated
        if self.expr.names == ("stage",):
            return self.expr.holds({"stage": stage}) is not self.negated
        return None

    def clause(self, turn: Turn) -> Clause:
        """What it saw."""
        text = f"not ({self.expr.text})" if self.negated else self.expr.text
        values = {name: turn[name] for name in self.expr.names}
        return Clause(text, values, self.holds(turn), self.expr.threshold)


class Condition:
    """All of `when` (of an `any` group, one) and none of `unless`. An unknown value makes nothing true."""

    __slots__ = ("groups", "holds", "names", "tests")

    def __init__(self, when: When, unless: Iterable[str], needs: Needs) -> None:
        guards = ((_test(text, needs, negated=True),) for text in unless)
        self.groups = [*(_group(one, needs) for one in when), *guards]
        self.tests = tuple(test for group in self.groups for test in group)
        self.holds = _all([_any([test.holds for test in group]) for group in self.groups])
        self.names = tuple(dict.fromkeys(name for test in self.tests for name in test.expr.names))

    def left(self, stage: str, known: int) -> Holds:
        """What is left to ask of an account in this stage of which these stores are known. `never`: nothing, it cannot hold."""
        asked = []
        for group in self.groups:
            settled = {test: test.settled(stage, known) for test in group}
            if True in settled.values():
                continue
            left = [test.holds for test, sure in settled.items() if sure is None]
            if not left:
                return never
            asked.append(_any(left))
        return _all(asked)

    def clauses(self, turn: Turn) -> list[Clause]:
        """Every expression with the values it saw, held or not."""
        return [test.clause(turn) for test in self.tests]


def never(_: Turn) -> bool:
    """It cannot hold."""
    return False


def _group(one: str | AnyOf, needs: Needs) -> tuple[Test, ...]:
    return tuple(_test(text, needs) for text in one.any) if isinstance(one, AnyOf) else (_test(one, needs),)


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


def _test(text: str, needs: Needs, negated: bool = False) -> Test:
    expr = Expr(text)
    holds = _plain(expr, expr.compare) if expr.compare else _general(expr)
    unknown_without = reduce(or_, map(needs, expr.names), 0) if expr.strict else 0
    return Test(expr, _not(holds) if negated else holds, unknown_without, negated)


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
