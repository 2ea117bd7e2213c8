"""Could this text be written for every account it may go to? Tried at load with only what is certain to be known."""

from collections.abc import Iterable, Mapping

from services.notify.core.consent import TRANSACTIONAL
from services.notify.core.known import TRAIT, Known
from services.notify.core.playbook import Play, Step
from services.notify.rendering import FOOTER, RenderError, Templates
from shared.contracts.evidence import Value
from shared.definitions import nearest

HOUSE: dict[str, Value] = {
    "product": "Example",
    "app_url": "https://app.example.com",
    "sender": "Example Customer Success",
    "unsubscribe_link": "https://example.com/u/token",
    "address": "Example Ltd, 1 Example Street",
}
"""What the service itself adds to the facts of an account."""

ALWAYS: dict[str, Value] = {
    "account_name": "Acme",
    "first_name": "there",
    "stage": "adoption",
    "band": "green",
    "today": "2026-01-01",
}
BEFORE = "before_"
_SAMPLE = 2.0
_PREFIXES = (TRAIT, "reached_", BEFORE, "ask_")


def text_mistakes(templates: Templates, play: Play, step: Step, known: Known | None) -> Iterable[tuple[int, str, str]]:
    """Line, problem and suggestion: names nobody offers, and a text that some account could not be written."""
    yield from strangers(templates.names(step.template), known)
    if problem := _unwritable(templates, play, step):
        yield 1, f"{problem} (in play '{play.name}'): put it into {{% if ... is defined %}}", ""
    if needs_footer(play.class_, step.channel) and not _lets_go(templates):
        yield 1, f"no '{FOOTER}' with the unsubscribe_link to put under it", ""


def remembered(templates: Templates, names: Iterable[str]) -> frozenset[str]:
    """The metrics that some text compares with a quarter ago."""
    read = (variable for name in names for variable in templates.names(name))
    return frozenset(name.removeprefix(BEFORE) for name in read if name.startswith(BEFORE)) - {"date"}


def _guaranteed(play: Play, step: Step) -> dict[str, Value]:
    """What is known whenever this step writes: a guard that holds has known what it reads."""
    guarded = {name: _SAMPLE for condition in play.when + step.when for name in condition.names}
    asked: dict[str, Value] = {} if play.on else {"link": "https://example.com/s/token"}
    return {**guarded, **asked, **ALWAYS, **HOUSE}


def _unwritable(templates: Templates, play: Play, step: Step) -> str:
    try:
        values = _guaranteed(play, step)
        templates.render(step.template, values, subject=step.subject, footer=needs_footer(play.class_, step.channel))
    except RenderError as error:
        return str(error)
    return ""


def needs_footer(class_: str, channel: str) -> bool:
    """Whether the message must offer to unsubscribe."""
    return channel == "email" and class_ != TRANSACTIONAL


def strangers(names: Mapping[str, int], known: Known | None) -> Iterable[tuple[int, str, str]]:
    """Line, problem and suggestion for each name that nobody offers."""
    if known is None:
        return
    offered = {*known.readable(), *HOUSE, *ALWAYS, "link"}
    for name, line in names.items():
        if name not in offered and not _prefixed(name, known):
            yield line, f"unknown name '{name}'", nearest(name, offered)


def _prefixed(name: str, known: Known) -> bool:
    if name.startswith(BEFORE):
        return name.removeprefix(BEFORE) in {*known.metrics, "date"}
    if name.startswith("reached_"):
        return name.removeprefix("reached_") in known.milestones
    return name.startswith(_PREFIXES)


def _lets_go(templates: Templates) -> bool:
    return FOOTER in templates and "unsubscribe_link" in templates.names(FOOTER)
