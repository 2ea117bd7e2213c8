"""Findings: what is wrong with a definition, each with the line it stands on and what was probably meant."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from services.lifecycle.core.rules import WHY, ReasonTemplate
from services.lifecycle.core.schema_types import AnyOf, When, duration
from shared.definitions import At, Loaded, Mistake, named, nearest
from shared.expr import Expr, ExprError


class DeclaredNames(NamedTuple):
    """The names that a definition declares. `with_feature` are the event classes that say where their feature stands."""

    events: Collection[str]
    with_feature: Collection[str]
    stages: Collection[str]
    milestones: Collection[str]
    metrics: set[str]
    """Every name that may stand in a condition: declared metrics, flags, built-in ones."""


class Findings:
    """One loaded definition and its names; each method finds the mistakes of one kind of value."""

    def __init__(self, loaded: Loaded[Any], names: DeclaredNames) -> None:
        self.loaded = loaded
        self.names = names

    def at(self, where: At, problem: str, meant: str = "") -> Mistake:
        """A mistake at the line of this value."""
        return self.loaded.mistake(where, problem, meant)

    def declared(self, where: At, word: str, kind: str, names: Iterable[str]) -> Iterator[Mistake]:
        """A word that must be one of those declared."""
        if word not in names:
            yield self.at(where, *named(f"unknown {kind} '{word}'", word, names))

    def event_class(self, where: At, word: str) -> Iterator[Mistake]:
        return self.declared(where, word, "event class", self.names.events)

    def stage(self, where: At, word: str) -> Iterator[Mistake]:
        return self.declared(where, word, "stage", self.names.stages)

    def milestone(self, where: At, word: str) -> Iterator[Mistake]:
        return self.declared(where, word, "milestone", self.names.milestones)

    def metric(self, where: At, word: str) -> Iterator[Mistake]:
        return self.declared(where, word, "metric", self.names.metrics)

    def duration(self, where: At, text: str) -> Iterator[Mistake]:
        try:
            duration(text)
        except ValueError as error:
            yield self.at(where, str(error))

    def window(self, at: At, days: int, max_days: int) -> Iterator[Mistake]:
        """The `days` of a metric that stands at `at`."""
        if not 1 <= days <= max_days:
            yield self.at((*at, "days"), f"a window of {days} days: from 1 to {max_days}")

    def expression(self, where: At, text: str, declared: set[str] | None) -> Iterator[Mistake]:
        """A CEL expression over these names (None: over any)."""
        try:
            expr = Expr(text)
        except ExprError as error:
            yield self.at(where, f"'{text}' is {str(error).splitlines()[0].strip(' :')}")
            return
        for name in expr.unknown_names(declared) if declared is not None else ():
            yield self.at(where, f"unknown metric '{name}' in '{text}'", nearest(name, declared or ()))

    def condition(self, where: At, text: str) -> Iterator[Mistake]:
        """A CEL expression over metrics."""
        return self.expression(where, text, self.names.metrics)

    def when(self, where: At, when: When) -> Iterator[Mistake]:
        """Conditions, at least one."""
        if not when:
            yield self.at(where, "no condition: it would always hold")
        for index, item in enumerate(when):
            if not isinstance(item, AnyOf):
                yield from self.condition((*where, index), item)
                continue
            if not item.any:
                yield self.at((*where, index, "any"), "'any' of nothing never holds")
            for inner, text in enumerate(item.any):
                yield from self.condition((*where, index, "any", inner), text)

    def unless(self, where: At, unless: list[str]) -> Iterator[Mistake]:
        for index, text in enumerate(unless):
            yield from self.condition((*where, index), text)

    def reason(self, where: At, text: str) -> Iterator[Mistake]:
        try:
            names = ReasonTemplate(text).names
        except ValueError as error:
            yield self.at(where, f"not a template: {error}")
            return
        for name in names:
            if name not in self.names.metrics:
                yield self.at(
                    where, f"unknown metric '{name}' in the reason", nearest(name, {*self.names.metrics, WHY})
                )
