"""Conditions of plays and budget: CEL texts compiled and checked against the names the lifecycle definition offers."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, get_args

from shared.contracts.evidence import Value
from shared.contracts.lifecycle import Band
from shared.definitions import At, named, nearest
from shared.expr import Expr, ExprError, comparisons

ALWAYS_READABLE = frozenset({"stage", "band", "score"})
TRAIT = "trait_"
REACHED = "_reached"

ReportMistake = Callable[..., None]
"""Called with the place (`At`), the problem and perhaps a suggestion."""


class LifecycleNames(NamedTuple):
    """Every name of a lifecycle definition, by kind. `facts` are the usage events lifecycle forwards.

    Metrics of `counting_up` say how many days ago something was, those of `counting_down` in how many it will be.

    An empty kind is not checked.
    """

    stages: frozenset[str]
    flags: frozenset[str]
    signals: frozenset[str]
    milestones: frozenset[str]
    metrics: frozenset[str]
    facts: frozenset[str] = frozenset()
    counting_up: frozenset[str] = frozenset()
    counting_down: frozenset[str] = frozenset()

    def readable(self) -> set[str]:
        """What a condition may read, besides traits."""
        return {*ALWAYS_READABLE, *self.flags, *self.metrics, *(f"{name}{REACHED}" for name in self.milestones)}


def conditions(texts: Iterable[str], at: At, report: ReportMistake, names: LifecycleNames | None) -> tuple[Expr, ...]:
    """Those that compile; what does not, or reads an unknown name, is reported."""
    compiled = (_condition(text, (*at, index), report, names) for index, text in enumerate(texts))
    return tuple(condition for condition in compiled if condition)


def _condition(text: str, at: At, report: ReportMistake, names: LifecycleNames | None) -> Expr | None:
    try:
        condition = Expr(text)
    except ExprError as error:
        report(at, str(error))
        return None
    readable = names.readable() if names else set(condition.names)
    for name in condition.names:
        if name not in readable and not name.startswith(TRAIT):
            report(at, f"unknown name '{name}'", nearest(name, readable))
    if names is not None:
        _compared(text, at, report, names)
    return condition


def _compared(text: str, at: At, report: ReportMistake, names: LifecycleNames) -> None:
    """Report what is compared with a word that it never is."""
    words = {"stage": names.stages, "band": frozenset(get_args(Band))}
    are_true_or_false = {*names.flags, *(f"{name}{REACHED}" for name in names.milestones)}
    for name, _, literal in comparisons(text):
        known = words.get(name)
        if known and literal not in known:
            report(at, *named(f"'{text}': {name} is never {_shown(literal)}", str(literal), known))
        elif name in are_true_or_false and not isinstance(literal, bool):
            report(at, f"'{text}' never holds: {name} is true or false")


def _shown(literal: Value) -> str:
    return f"'{literal}'" if isinstance(literal, str) else f"{literal:g}" if isinstance(literal, float) else "that"
