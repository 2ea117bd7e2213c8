"""Wording: names of metrics and conditions over them as a person reads them. Evidence keeps the CEL; nobody is shown it."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from shared.contracts.evidence import Clause, Value

PERCENT = "%"
"""The unit of a share: 0.8 reads as 80%."""


def spoken(name: str) -> str:
    """A name of the definition, or of an event, as it is read aloud."""
    return name.replace("_", " ")


class Worded(NamedTuple):
    """What a metric is called, and what its values are counted in."""

    label: str
    unit: str = ""


BUILT_IN: Mapping[str, Worded] = {
    "stage": Worded("the stage"),
    "days_in_stage": Worded("time in the stage", "days"),
    "tenure_days": Worded("time as a customer", "days"),
    "days_since_progress": Worded("time since the last milestone", "days"),
    "required_milestones_missing": Worded("required milestones missing"),
    "health_score": Worded("health"),
    "health_band": Worded("health"),
    "health_coverage": Worded("share of health with fresh data", PERCENT),
}
_BOUNDS = {">=": "{} or more", "<=": "{} or less", ">": "more than {}", "<": "less than {}", "!=": "not {}"}
_ASKED = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than", "==": "is", "!=": "is not"}
_OPPOSITE = {">=": "<", "<=": ">", ">": "<=", "<": ">=", "==": "!=", "!=": "=="}
_NAME = re.compile(r"\w+")
_PLAIN = re.compile(r"\s*(\w+)\s*(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?|true|false|\"[^\"]*\"|'[^']*')\s*")
_NEGATED = re.compile(r"not \((.*)\)", re.DOTALL)
_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|\d+(?:\.\d+)?|\w+|>=|<=|==|!=|&&|\|\||\S")
_WORDS = {"&&": "and", "||": "or", "!": "not", "true": "yes", "false": "no", **_ASKED}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class Wording:
    """Words for the metrics of one definition; a name without words of its own reads as it is, without underscores."""

    def __init__(self, metrics: Mapping[str, Worded]) -> None:
        self._metrics = {**BUILT_IN, **{name: of for name, of in metrics.items() if of.label or of.unit}}

    def label(self, name: str) -> str:
        """What it is called."""
        known = self._metrics.get(name)
        return (
            known.label
            if known and known.label
            else name.removesuffix("_reached").replace("_", " ") + (" reached" if name.endswith("_reached") else "")
        )

    def unit(self, name: str) -> str:
        """What it is counted in, or empty."""
        known = self._metrics.get(name)
        return known.unit if known else ""

    def value(self, name: str, value: Value) -> str:
        """A value with its unit: 21 days, 80%, yes, unknown."""
        if value is None:
            return "unknown"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, str):
            return value.replace("_", " ")
        unit = self.unit(name)
        if unit == PERCENT:
            return f"{value:.0%}"
        number = f"{round(value, 2):,.10g}"
        return f"{number} {unit.removesuffix('s') if value == 1 else unit}" if unit else number

    def condition(self, text: str) -> str:
        """A condition as it is asked: "time since core use at least 14 days"."""
        negated = _NEGATED.fullmatch(text)
        if negated:
            return self._not_certainly(negated[1])
        plain = _PLAIN.fullmatch(text)
        if plain is None:
            return self._general(text)
        name, compare, literal = plain[1], plain[2], _literal(plain[3])
        if isinstance(literal, bool):
            return self.label(name) if literal is (compare == "==") else f"not {self.label(name)}"
        return f"{self.label(name)} {_ASKED[compare]} {self.value(name, literal)}"

    def _not_certainly(self, text: str) -> str:
        """What holds while the condition is not certainly true: its opposite, and where nothing is known."""
        plain = _PLAIN.fullmatch(text)
        if plain is None:
            return f"not {self.label(text)}" if _NAME.fullmatch(text) else f"not: {self.condition(text)}"
        opposite = self.condition(f"{plain[1]} {_OPPOSITE[plain[2]]} {plain[3]}")
        return opposite if plain[2] in {"==", "!="} else f"{opposite}, or unknown"

    def seen(self, clause: Clause) -> str:
        """A satisfied condition with what it saw: "time since core use is 21 days (14 days or more)"."""
        plain = _PLAIN.fullmatch(clause.text)
        if plain is None:
            negated = _NEGATED.fullmatch(clause.text)
            asked = f"not: {self.condition(negated[1])}" if negated else self.condition(clause.text)
            flags = all(isinstance(value, bool) for value in clause.values.values())
            values = ", ".join(f"{self.label(name)} is {self.value(name, of)}" for name, of in clause.values.items())
            return asked if flags else f"{asked} ({values})"
        name, compare, literal = plain[1], plain[2], _literal(plain[3])
        if isinstance(literal, bool) or compare == "==":
            return self.condition(clause.text)
        bound = _BOUNDS[compare].format(self.value(name, literal))
        return f"{self.label(name)} is {self.value(name, clause.values.get(name))} ({bound})"

    def why(self, clauses: list[Clause]) -> str:
        """What spoke for a decision; that nothing spoke against it goes without saying."""
        satisfied = [clause for clause in clauses if clause.satisfied]
        telling = [clause for clause in satisfied if not _NEGATED.fullmatch(clause.text)]
        return "; ".join(map(self.seen, telling or satisfied))

    def _general(self, text: str) -> str:
        """Any expression, word by word."""
        return " ".join(map(self._token, _TOKEN.findall(text)))

    def _token(self, token: str) -> str:
        if token in _WORDS:
            return _WORDS[token]
        if token[0] in "\"'":
            return token[1:-1].replace("_", " ")
        return self.label(token) if token[0].isalpha() or token[0] == "_" else token


PLAIN = Wording({})
"""Words where no definition gives any."""


def _literal(text: str) -> Value:
    if text in {"true", "false"}:
        return text == "true"
    return float(text) if _NUMBER.fullmatch(text) else text[1:-1]
