"""Where is the mistake, and what was meant? What all checks share."""

from collections.abc import Iterable, Iterator

from services.lifecycle.core.definition.duration import duration
from services.lifecycle.core.definition.model import AnyOf, Definition, When
from services.lifecycle.core.reason import WHY, Template
from shared.definitions import At, Loaded, Mistake, nearest
from shared.expr import Expr, ExprError

BUILT_IN = (
    "stage",
    "days_in_stage",
    "tenure_days",
    "days_since_progress",
    "required_milestones_missing",
    "health_score",
    "health_band",
    "health_coverage",
)


class Findings:
    """One loaded definition, the names its conditions may use, and mistakes with the line they stand on."""

    def __init__(self, loaded: Loaded[Definition]) -> None:
        self.loaded = loaded
        self.definition = loaded.value
        self.given = {*BUILT_IN, *(f"{name}_reached" for name in self.definition.milestones)}
        self.declared = {*self.given, *self.definition.metrics, *self.definition.flags}

    def at(self, where: At, problem: str, meant: str = "") -> Mistake:
        return self.loaded.mistake(where, problem, meant)

    def known(self, where: At, word: str, kind: str, known: Iterable[str]) -> Iterator[Mistake]:
        """A word that must be one of those declared."""
        if word not in known:
            yield self.at(where, f"unknown {kind} '{word}'", nearest(word, known))

    def event_class(self, where: At, word: str) -> Iterator[Mistake]:
        return self.known(where, word, "event class", self.definition.events)

    def stage(self, where: At, word: str) -> Iterator[Mistake]:
        return self.known(where, word, "stage", self.definition.stages)

    def metric(self, where: At, word: str) -> Iterator[Mistake]:
        return self.known(where, word, "metric", self.declared)

    def duration(self, where: At, text: str) -> Iterator[Mistake]:
        try:
            duration(text)
        except ValueError as error:
            yield self.at(where, str(error))

    def expression(self, where: At, text: str, declared: set[str] | None) -> Iterator[Mistake]:
        """A CEL expression over these names (None: over any)."""
        try:
            expr = Expr(text)
        except ExprError as error:
            yield self.at(where, f"'{text}' is {str(error).splitlines()[0].strip(' :')}")
            return
        for name in expr.unknown_names(declared) if declared is not None else ():
            yield self.at(where, f"unknown metric '{name}' in '{text}'", nearest(name, declared or ()))

    def when(self, where: At, when: When) -> Iterator[Mistake]:
        """Conditions, at least one."""
        if not when:
            yield self.at(where, "no condition: it would always hold")
        for index, one in enumerate(when):
            group, inside = (one.any, (index, "any")) if isinstance(one, AnyOf) else ([one], (index,))
            if not group:
                yield self.at((*where, *inside), "'any' of nothing never holds")
            for inner, text in enumerate(group):
                spot = (*where, *inside, inner) if isinstance(one, AnyOf) else (*where, *inside)
                yield from self.expression(spot, text, self.declared)

    def unless(self, where: At, unless: list[str]) -> Iterator[Mistake]:
        for index, text in enumerate(unless):
            yield from self.expression((*where, index), text, self.declared)

    def reason(self, where: At, text: str) -> Iterator[Mistake]:
        try:
            names = Template(text).names
        except ValueError as error:
            yield self.at(where, f"not a template: {error}")
            return
        for name in names:
            if name not in self.declared:
                yield self.at(where, f"unknown metric '{name}' in the reason", nearest(name, {*self.declared, WHY}))
