"""Words for metrics: labels and units from lifecycle's definition, for names and values on a page."""

from collections.abc import Mapping
from typing import Any

from services.console.core import formatting
from services.console.core.answers import fields

_PERCENT = "%"


class MetricWords:
    """What metrics are called, and what their values are counted in; a name that is not known reads without underscores."""

    def __init__(self, metrics: Any) -> None:
        self._metrics: Mapping[str, Any] = fields(metrics)

    def label(self, name: Any) -> str:
        """What people call it."""
        return str(fields(self._metrics.get(str(name))).get("label") or formatting.words(name))

    def value(self, name: Any, given: Any) -> str:
        """A value with its unit: 21 days, 80%, unknown."""
        unit = str(fields(self._metrics.get(str(name))).get("unit") or "")
        if not unit or isinstance(given, bool) or not isinstance(given, int | float):
            return formatting.words(given) if isinstance(given, str) else formatting.value(given)
        if unit == _PERCENT:
            return formatting.percent(given)
        return f"{formatting.value(given)} {unit.removesuffix('s') if given == 1 else unit}"
