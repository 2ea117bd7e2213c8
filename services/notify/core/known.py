"""Which names does the lifecycle definition offer? What a play may name, when somebody can tell us."""

from typing import NamedTuple

ALWAYS = frozenset({"stage", "band", "score"})
TRAIT = "trait_"
REACHED = "_reached"


class Known(NamedTuple):
    """Every name by kind. `facts` are the usage events lifecycle forwards; empty means: not told, not checked."""

    stages: frozenset[str]
    flags: frozenset[str]
    signals: frozenset[str]
    milestones: frozenset[str]
    metrics: frozenset[str]
    facts: frozenset[str] = frozenset()

    def readable(self) -> set[str]:
        """What a condition may read, besides traits."""
        return {*ALWAYS, *self.flags, *self.metrics, *(f"{name}{REACHED}" for name in self.milestones)}
