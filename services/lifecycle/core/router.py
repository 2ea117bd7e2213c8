"""Which of the company's event classes is this event, and which feature does it tell of?"""

import re
from fnmatch import translate
from typing import NamedTuple

from services.lifecycle.core.definition.model import EventClass, Feature
from services.lifecycle.core.metrics.part import Writer
from shared.contracts.usage import UsageEvent
from shared.expr import Expr

MOST_NAMES = 10_000
"""Names are the product's to invent: past this many, the cache starts again."""


class ClassPlan(NamedTuple):
    """One event class and all that its events do. `writers` come with the bits of the stores they write."""

    name: str
    pattern: re.Pattern[str]
    where: Expr | None
    feature: Feature | None
    writers: tuple[tuple[int, Writer], ...]
    span: int
    properties: bool
    milestones: tuple[str, ...]
    fact: bool
    removes: bool


class Way(NamedTuple):
    """One class an event's name leads to, and the feature it names (None: the `property` does).

    It `announces` when its events say something by themselves.
    """

    plan: ClassPlan
    feature: str | None
    property: str
    announces: bool


class Route(NamedTuple):
    """All classes of an event's name, and whether any of them looks into the properties."""

    ways: tuple[Way, ...]
    properties: bool


class Router:
    """Names to routes; each name is matched once."""

    __slots__ = ("classes", "known")

    def __init__(self, classes: list[ClassPlan]) -> None:
        self.classes = classes
        self.known: dict[str, Route] = {}

    def route(self, event: UsageEvent) -> Route:
        """The route of this event's name. Views are called `page:name` and `screen:name`."""
        name = event.name if event.type == "track" else f"{event.type}:{event.name}"
        return self.known.get(name) or self._learn(name, event.name)

    def _learn(self, name: str, bare: str) -> Route:
        ways = tuple(_way(plan, bare) for plan in self.classes if plan.pattern.fullmatch(name))
        if len(self.known) >= MOST_NAMES:
            self.known.clear()
        route = self.known[name] = Route(ways, any(_looks(way) for way in ways))
        return route


def pattern(of: EventClass) -> re.Pattern[str]:
    """All globs of the class in one expression."""
    return re.compile("|".join(translate(glob) for glob in of.match))


def _looks(way: Way) -> bool:
    return way.plan.properties or way.feature is None


def _way(plan: ClassPlan, name: str) -> Way:
    announces = bool(plan.milestones or plan.fact or plan.removes)
    return Way(plan, _feature(plan.feature, name), (plan.feature and plan.feature.property) or "", announces)


def _feature(feature: Feature | None, name: str) -> str | None:
    """The feature as far as the name tells; empty where the class has none."""
    if feature is None:
        return ""
    _, separator, rest = name.partition(feature.after) if feature.after else ("", "", "")
    if separator and rest:
        return rest
    return None if feature.property else name
