"""Why something was not sent: reasons, and what notify recorded beside them, as a person says it.

Notify keeps the text of the condition that spoke against a message, with the values it saw. Nobody is shown that: it is read
here with the words that lifecycle's definition has for its metrics.
"""

import re
from typing import Any

from services.console.core import formatting
from services.console.core.metric_words import MetricWords

_VALUES = re.compile(r"(?P<condition>.*) \((?P<values>\w+ = .*)\)", re.DOTALL)
_CONDITIONS = frozenset({"guard", "unhappy", "urgent_ticket"})
_NAMES = frozenset({"budget", "other_stage", "same_cause", "ceiling"})
_SAME_CAUSE = "same cause: "
_STOPS = {
    "milestone": "{} was reached",
    "flag_cleared": "no longer {}",
    "signal": "{}",
    "fact": "{}",
}
_WHY_NOT = {
    "": "no reason given",
    "approval": "waits until the first sends are approved",
    "bounced": "the address bounced",
    "budget": "had enough mail already",
    "ceiling": "too many at once",
    "complained": "complained before",
    "crowded": "too many plays at once",
    "expired": "too late to help",
    "gave_up": "the server never took it",
    "gone": "the person left",
    "guard": "the condition did not hold",
    "history": "imported history",
    "holdout": "kept out to compare",
    "no_address": "no address known",
    "no_contact": "nobody to write to",
    "not_configured": "something it needs is not set up",
    "open_task": "a task was open already",
    "other_stage": "in another stage by then",
    "play_changed": "the play was changed",
    "quiet_hours": "no time outside quiet hours",
    "redriven": "is sent again",
    "refused": "the server refused it",
    "resting": "the same play ran lately",
    "running": "the same play was running",
    "same_cause": "another play answers the same cause",
    "stopped": "it was no longer true",
    "try_again": "is tried again",
    "unhappy": "not the moment: they are unhappy",
    "unknown": "may have arrived, nobody knows",
    "unknown_play": "no such play",
    "unsubscribed": "unsubscribed",
    "unverified": "address not confirmed",
    "unwritable": "data for the text was missing",
    "urgent_ticket": "an urgent ticket was open",
}


def why_not(reason: Any) -> str:
    """Why something was not sent, as a person says it."""
    return _WHY_NOT.get(str(reason or ""), formatting.words(reason))


def detail(reason: Any, told: Any, metrics: MetricWords) -> str:
    """What was recorded beside a reason: the condition in words with what it saw, the cap, the stage; empty for nothing."""
    text, why = str(told or ""), str(reason or "")
    if why == "stopped":
        return _stop(text, metrics)
    if why in _CONDITIONS:
        return _condition(text, metrics)
    return formatting.words(text) if text and why in _NAMES else text


def _stop(text: str, metrics: MetricWords) -> str:
    if text.startswith(_SAME_CAUSE):
        return f"answered by {formatting.words(text.removeprefix(_SAME_CAUSE))}"
    kind, _, what = text.partition(" ")
    if kind == "when":
        return metrics.condition(what)
    if kind == "stage":
        return "it left the stage"
    return _STOPS[kind].format(formatting.words(what)) if kind in _STOPS else text


def _condition(text: str, metrics: MetricWords) -> str:
    found = _VALUES.fullmatch(text)
    if found is None:
        return metrics.condition(text)
    seen = [pair.partition(" = ") for pair in found["values"].split(", ")]
    if all(value in {"True", "False"} for _, _, value in seen):
        return metrics.condition(found["condition"])
    values = ", ".join(f"{metrics.label(name)} is {_value(name, value, metrics)}" for name, _, value in seen)
    return f"{metrics.condition(found['condition'])} ({values})"


def _value(name: str, text: str, metrics: MetricWords) -> str:
    if text in {"True", "False"}:
        return "yes" if text == "True" else "no"
    try:
        return metrics.value(name, float(text))
    except ValueError:
        return formatting.words(text)
