"""Is this condition true of these values? One CEL expression over declared names; the only place that knows the CEL library."""

import re
from collections.abc import Mapping
from typing import Any

import cel

from shared.contracts.evidence import Value

_LIMIT = 1000
_FUNCTIONS = frozenset({"size", "startsWith", "endsWith", "contains", "double"})
_PLAIN = re.compile(r"^\s*(\w+)\s*(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?|true|false|\"[^\"]*\"|'[^']*')\s*$")
_WORDS: dict[str, Value] = {"true": True, "false": False}
_INTEGER = re.compile(r"""("[^"]*"|'[^']*')|(?<![\w.])(\d+)(?![\w.])""")


class ExprError(ValueError):
    """The text is not a condition we can run. The message says why."""


class Expr:
    """A compiled expression. `names` are the variables it reads, `threshold` its literal if it is a plain comparison."""

    __slots__ = ("_program", "names", "text", "threshold")

    def __init__(self, text: str) -> None:
        if len(text.encode()) > _LIMIT:
            raise ExprError(f"longer than {_LIMIT} bytes")
        try:
            self._program = cel.compile(_all_doubles(text))
        except Exception as error:  # noqa: BLE001  the library raises many kinds; each means: not an expression
            raise ExprError(f"not an expression: {error}") from None
        strange = [name for name in self._program.functions() if name[0] not in "_@!-" and name not in _FUNCTIONS]
        if strange:
            raise ExprError(f"unknown function '{strange[0]}'")
        self.text = text
        self.names: tuple[str, ...] = tuple(self._program.variables())
        self.threshold = _threshold(text)

    def unknown_names(self, declared: Mapping[str, object] | set[str]) -> list[str]:
        """The names it reads that nobody declared."""
        return [name for name in self.names if name not in declared]

    def value(self, values: Mapping[str, Value]) -> Value:
        """What it comes to; None (unknown) when a value it needs is unknown or of the wrong kind."""
        known = {name: values[name] for name in self.names if values.get(name) is not None}
        try:
            result: Any = self._program.execute(known)
        except (RuntimeError, TypeError, ValueError, ZeroDivisionError, OverflowError):
            return None
        return result if isinstance(result, bool | str) else _number(result)

    def holds(self, values: Mapping[str, Value]) -> bool:
        """True only when it is certainly true: unknown is not true."""
        return self.value(values) is True


def _all_doubles(text: str) -> str:
    """CEL never mixes integers and doubles in arithmetic, and every metric is a double: so is every literal."""
    return _INTEGER.sub(lambda match: match.group(1) or f"{match.group(2)}.0", text)


def _threshold(text: str) -> Value:
    match = _PLAIN.match(text)
    if not match:
        return None
    literal = match.group(3)
    return _WORDS[literal] if literal in _WORDS else literal[1:-1] if literal[0] in "\"'" else float(literal)


def _number(result: Any) -> Value:
    if not isinstance(result, int | float) or result != result or result in {float("inf"), float("-inf")}:  # noqa: PLR0124  NaN
        return None
    return float(result)
