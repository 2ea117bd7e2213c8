"""Can these conditions run? Compiles CEL texts; what cannot run, or reads a name nobody offers, is a mistake."""

from collections.abc import Callable, Iterable

from services.notify.core.known import TRAIT, Known
from shared.definitions import At, nearest
from shared.expr import Expr, ExprError


def conditions(texts: Iterable[str], at: At, wrong: Callable[..., None], known: Known | None) -> tuple[Expr, ...]:
    """Those that compile."""
    compiled = (_condition(text, (*at, index), wrong, known) for index, text in enumerate(texts))
    return tuple(condition for condition in compiled if condition)


def _condition(text: str, at: At, wrong: Callable[..., None], known: Known | None) -> Expr | None:
    try:
        condition = Expr(text)
    except ExprError as error:
        wrong(at, str(error))
        return None
    readable = known.readable() if known else set(condition.names)
    for name in condition.names:
        if name not in readable and not name.startswith(TRAIT):
            wrong(at, f"unknown name '{name}'", nearest(name, readable))
    return condition
