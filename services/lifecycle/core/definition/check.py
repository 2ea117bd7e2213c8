"""Is the definition sound? Every mistake at once, each with its line."""

from collections.abc import Iterator

from services.lifecycle.core.definition.check_graph import graph_mistakes
from services.lifecycle.core.definition.check_health import health_mistakes
from services.lifecycle.core.definition.check_metrics import metric_mistakes
from services.lifecycle.core.definition.check_rules import rule_mistakes
from services.lifecycle.core.definition.findings import Findings
from services.lifecycle.core.definition.model import Definition
from shared.definitions import DefinitionError, Loaded, Mistake


def check(loaded: Loaded[Definition]) -> None:
    """Raise DefinitionError with everything that is wrong."""
    found = list(_mistakes(Findings(loaded)))
    if found:
        raise DefinitionError(found)


def _mistakes(find: Findings) -> Iterator[Mistake]:
    yield from _events(find)
    yield from _names(find)
    yield from metric_mistakes(find)
    yield from rule_mistakes(find)
    yield from graph_mistakes(find)
    yield from health_mistakes(find)


def _events(find: Findings) -> Iterator[Mistake]:
    definition = find.definition
    for name, of in definition.events.items():
        if not of.match:
            yield find.at(("events", name, "match"), f"event class '{name}' matches nothing")
        if of.where:
            yield from find.expression(("events", name, "where"), of.where, declared=None)
    for index, fact in enumerate(definition.facts):
        yield from find.event_class(("facts", index), fact)
    if definition.removes_user:
        yield from find.event_class(("removes_user",), definition.removes_user)


def _names(find: Findings) -> Iterator[Mistake]:
    """A name means one thing in a condition."""
    definition = find.definition
    for section in ("metrics", "flags", "milestones"):
        for name in getattr(definition, section):
            if not name.isidentifier():
                yield find.at((section, name), f"'{name}' cannot stand in a condition: letters, digits and _ only")
    for name in definition.metrics:
        if name in find.given or name in definition.flags:
            yield find.at(("metrics", name), f"metric '{name}' has the name of something that is there already")
    for name in definition.flags:
        if name in find.given:
            yield find.at(("flags", name), f"flag '{name}' has the name of something that is there already")
