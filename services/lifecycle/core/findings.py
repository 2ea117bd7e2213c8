"""Findings: what is wrong with a definition, each with the line it stands on and what was probably meant."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from services.lifecycle.core.possible_values import Values, can_hold, demand
from services.lifecycle.core.rules import WHY, ReasonTemplate
from services.lifecycle.core.schema_types import AnyOf, When, duration
from shared.definitions import At, Loaded, Mistake, named, nearest
from shared.expr import Comparison, Expr, ExprError, comparisons

_EQUALITY = frozenset({"==", "!="})


class DeclaredNames(NamedTuple):
    """The names that a definition declares. `with_feature` are the event classes that say where their feature stands."""

    events: Collection[str]
    with_feature: Collection[str]
    stages: Collection[str]
    milestones: Collection[str]
    values: Mapping[str, Values]
    """Every name that may stand in a condition (declared metrics, flags, built-in ones), and what it can be."""

    @property
    def metrics(self) -> set[str]:
        """Every name that may stand in a condition."""
        return {*self.values}


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

    def number(self, where: At, word: str) -> Iterator[Mistake]:
        """A metric that can be counted."""
        yield from self.metric(where, word)
        values = self.names.values.get(word)
        if values is not None and (values.words is not None or values.is_flag):
            yield self.at(where, f"points need a number, and {word} is none")

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
        """A CEL expression over metrics, which compares each with what it can be."""
        yield from self.expression(where, text, self.names.metrics)
        for compared in comparisons(text):
            if compared.name in self.names.values:
                yield from self._compared(where, text, compared)

    def _compared(self, where: At, text: str, compared: Comparison) -> Iterator[Mistake]:
        name, sign, literal = compared
        values = self.names.values[name]
        if values.words is not None and not isinstance(literal, str):
            yield self.at(where, f"'{text}' never holds: {name} is a word ({', '.join(sorted(values.words))})")
        elif values.words is not None and sign not in _EQUALITY:
            yield self.at(where, f"'{text}': the words of {name} have no order, use == or !=")
        elif values.words is not None and literal not in values.words:
            yield self.at(where, *named(f"'{text}': {name} is never '{literal}'", str(literal), values.words))
        elif values.is_flag and not isinstance(literal, bool):
            yield self.at(where, f"'{text}' never holds: {name} is true or false")
        elif values.is_number and not isinstance(literal, float):
            yield self.at(where, f"'{text}' never holds: {name} is a number")

    def holds_ever(self, where: At, when: When, unless: Iterable[str] = ()) -> Iterator[Mistake]:
        """Conditions that some values satisfy."""
        if when and not can_hold(demand(when, unless), self.names.values):
            yield self.at(where, "these conditions never hold together")

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
