"""What follows from other metrics? formula."""

from collections.abc import Callable

from services.lifecycle.core.definition.metrics import Formula
from services.lifecycle.core.metrics.part import Part
from services.lifecycle.core.turn import Turn
from shared.contracts.evidence import Value
from shared.expr import Expr


def formula(metric: Formula, part: Callable[[str], Part]) -> Part:
    """Reads through to the metrics it names: whatever moves them moves it."""
    expr = Expr(metric.cel)
    inputs = [part(name) for name in expr.names]

    def read(turn: Turn) -> Value:
        return expr.value({name: turn[name] for name in expr.names})

    return Part(
        read,
        stores=frozenset[str]().union(*(one.stores for one in inputs)),
        classes=tuple(dict.fromkeys(of for one in inputs for of in one.classes)),
        needs=frozenset[str]().union(*(one.needs for one in inputs)) if expr.strict else frozenset(),
        timed=any(one.timed for one in inputs),
    )
