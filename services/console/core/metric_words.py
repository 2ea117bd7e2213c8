"""Words for metrics: labels and units from lifecycle's definition, for names, values and conditions on a page."""

from typing import Any

from services.console.core import formatting
from services.console.core.answers import fields
from shared.wording import PERCENT, Worded, Wording


class MetricWords:
    """What metrics are called, and what their values are counted in; a name that is not known reads without underscores."""

    def __init__(self, metrics: Any) -> None:
        told = {name: fields(of) for name, of in fields(metrics).items()}
        self._wording = Wording(
            {name: Worded(str(of.get("label") or ""), str(of.get("unit") or "")) for name, of in told.items()}
        )

    def label(self, name: Any) -> str:
        """What people call it."""
        return self._wording.label(str(name))

    def value(self, name: Any, given: Any) -> str:
        """A value with its unit: 21 days, 80%, unknown."""
        unit = self._wording.unit(str(name))
        if not unit or isinstance(given, bool) or not isinstance(given, int | float):
            return formatting.words(given) if isinstance(given, str) else formatting.value(given)
        if unit == PERCENT:
            return formatting.percent(given)
        return f"{formatting.value(given)} {unit.removesuffix('s') if given == 1 else unit}"

    def condition(self, text: Any) -> str:
        """A condition, or a stop of a play, as a person reads it: time since core use at most 3 days."""
        return self._wording.condition(str(text))
