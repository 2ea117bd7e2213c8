"""How does a rule's reason read with the account's values in it?"""

from string import Formatter

from services.lifecycle.core.turn import Turn
from shared.contracts.evidence import Clause, Value

WHY = "why"
"""`{why}` in a template stands for the clauses that hold, with their values."""


class Template:
    """`{seats} seats, {seat_utilisation:.0%} in use`: names of metrics, with Python's format after a colon."""

    __slots__ = ("names", "parts")

    def __init__(self, text: str) -> None:
        """Raise ValueError for braces that do not match, or a format that is none."""
        self.parts = [(literal, name, spec or "") for literal, name, spec, _ in Formatter().parse(text)]
        for _, _, spec in self.parts:
            format(0.0, spec)
        self.names = tuple(name for _, name, _ in self.parts if name is not None and name != WHY)

    def render(self, turn: Turn, clauses: list[Clause]) -> str:
        """The sentence."""
        return "".join(literal + self._filled(name, spec, turn, clauses) for literal, name, spec in self.parts)

    def _filled(self, name: str | None, spec: str, turn: Turn, clauses: list[Clause]) -> str:
        if name is None:
            return ""
        return _why(clauses) if name == WHY else told(turn[name], spec)


def told(value: Value, spec: str = "") -> str:
    """A value as a person writes it: 3, 0.83, yes, unknown."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return format(value, spec) if spec else f"{round(value, 2):g}"


def _why(clauses: list[Clause]) -> str:
    return "; ".join(f"{clause.text} ({_values(clause)})" for clause in clauses if clause.satisfied)


def _values(clause: Clause) -> str:
    return ", ".join(f"{name} is {told(value)}" for name, value in clause.values.items())
