"""Which kinds of metric are there, and who compiles each?"""

from collections.abc import Callable
from typing import Any

from services.lifecycle.core.definition import metrics as kinds
from services.lifecycle.core.definition.model import Definition
from services.lifecycle.core.metrics import crowds, moments, traits, windows
from services.lifecycle.core.metrics.builtin import MISSING, builtins, demands, missing
from services.lifecycle.core.metrics.formulas import formula
from services.lifecycle.core.metrics.part import Part

COMPILERS: dict[type[kinds.Metric], Callable[[str, Any], Part]] = {
    kinds.Count: windows.count,
    kinds.Sum: windows.summed,
    kinds.ActiveDays: windows.active_days,
    kinds.Trend: windows.trend,
    kinds.ActiveUsers: crowds.active_users,
    kinds.UserDays: crowds.user_days,
    kinds.Features: crowds.features,
    kinds.DaysSince: moments.days_since,
    kinds.DaysSinceMilestone: moments.days_since_milestone,
    kinds.Latest: moments.latest,
    kinds.Open: moments.opened,
    kinds.Trait: traits.trait,
    kinds.DaysUntil: traits.days_until,
}


def compile_parts(definition: Definition) -> dict[str, Part]:
    """Every name a condition may use. The definition is sound: `check` has found no cycle."""
    parts = builtins(definition)

    def part(name: str) -> Part:
        if name not in parts:
            parts[name] = compiled(name)
        return parts[name]

    def compiled(name: str) -> Part:
        if name == MISSING:
            wanted = [of for demand in demands(definition).values() if demand for of in demand.names]
            return missing(definition, [part(of) for of in wanted])
        metric = definition.metrics[name]
        if isinstance(metric, kinds.Formula):
            return formula(metric, part)
        return _with_setters(COMPILERS[type(metric)](name, metric), definition)

    for name in (*definition.metrics, MISSING):
        part(name)
    return parts


def _with_setters(part: Part, definition: Definition) -> Part:
    """A trait may also have been set by an event: then that event is evidence."""
    setters = [name for name, of in definition.events.items() for one in of.sets if f"trait:{one}" in part.stores]
    return part._replace(classes=(*part.classes, *setters))
