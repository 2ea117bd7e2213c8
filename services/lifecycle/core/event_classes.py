"""Event classes, compiled: which of the company's classes an event belongs to, and which feature it names."""

import re
from fnmatch import translate
from typing import NamedTuple

from services.lifecycle.core.definition import EventClass, Feature
from services.lifecycle.core.metrics.kind import TypedTrait, Writer
from shared.contracts.usage import UsageEvent
from shared.expr import Expr

MAX_NAMES = 10_000
"""Names are the product's to invent: past this many, the cache starts again."""


class CompiledEventClass(NamedTuple):
    """One event class and all that its events do. `writers` come with the bits of the stores they write.

    `typed` are the properties that become a trait which metrics read as a number or a date.
    """

    name: str
    pattern: re.Pattern[str]
    where: Expr | None
    feature: Feature | None
    writers: tuple[tuple[int, Writer], ...]
    properties: bool
    milestones: tuple[str, ...]
    is_fact: bool
    removes_user: bool
    typed: tuple[TypedTrait, ...]


class Match(NamedTuple):
    """A class that an event's name belongs to, and the feature it names (None: the property `feature_property` does).

    It `announces` when its events say something by themselves.
    """

    event_class: CompiledEventClass
    feature: str | None
    feature_property: str
    announces: bool


class Route(NamedTuple):
    """The classes of an event's name, and whether any of them looks into the properties."""

    matches: tuple[Match, ...]
    properties: bool


class Router:
    """Names to routes; each name is matched once."""

    __slots__ = ("classes", "routes")

    def __init__(self, classes: list[CompiledEventClass]) -> None:
        self.classes = classes
        self.routes: dict[str, Route] = {}

    def route(self, event: UsageEvent) -> Route:
        """The route of this event's name. Views are called `page:name` and `screen:name`."""
        name = event.name if event.type == "track" else f"{event.type}:{event.name}"
        return self.routes.get(name) or self._match(name, event.name)

    def _match(self, name: str, bare_name: str) -> Route:
        matches = tuple(_matched(each, bare_name) for each in self.classes if each.pattern.fullmatch(name))
        if len(self.routes) >= MAX_NAMES:
            self.routes.clear()
        looks = any(match.event_class.properties or match.feature is None for match in matches)
        route = self.routes[name] = Route(matches, looks)
        return route


def pattern(of: EventClass) -> re.Pattern[str]:
    """All globs of the class in one expression."""
    return re.compile("|".join(translate(glob) for glob in of.match))


def _matched(each: CompiledEventClass, name: str) -> Match:
    announces = bool(each.milestones or each.is_fact or each.removes_user)
    return Match(each, _feature(each.feature, name), (each.feature and each.feature.property) or "", announces)


def _feature(feature: Feature | None, name: str) -> str | None:
    """The feature as far as the name tells; empty where the class has none."""
    if feature is None:
        return ""
    _, separator, after = name.partition(feature.after) if feature.after else ("", "", "")
    if separator and after:
        return after
    return None if feature.property else name
