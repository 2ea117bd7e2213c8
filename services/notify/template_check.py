"""Template check: at load, each text is tried with only those values that are certain to be known where it is used."""

from collections.abc import Collection, Iterable, Mapping

from services.notify.core.account_view import DAY_OF
from services.notify.core.conditions import TRAIT, LifecycleNames
from services.notify.core.past_steps import MESSAGES_SENT, STEP_VALUES
from services.notify.core.playbook import Play, Step
from services.notify.core.state import TRANSACTIONAL
from services.notify.rendering import CSM_NAME, FOOTER, UNSUBSCRIBE_LINK, RenderError, Templates
from shared.brand import OPTIONAL_LINKS
from shared.contracts.evidence import Value
from shared.definitions import nearest

COMPANY: dict[str, Value] = {
    "product": "Example",
    "app_url": "https://app.example.com",
    "sender": "Example Customer Success",
    "unsubscribe_link": "https://example.com/u/token",
    "address": "Example Ltd, 1 Example Street",
    "billing_url": "https://app.example.com/billing",
    "people_url": "https://app.example.com/people",
    "plans_url": "https://app.example.com/plans",
}
"""What the service itself adds to the values of an account."""

ALWAYS: dict[str, Value] = {
    "account_name": "Acme",
    "first_name": "there",
    "stage": "adoption",
    "band": "green",
    "today": "2026-01-01",
    MESSAGES_SENT: 0.0,
}
BEFORE = "before_"
_SAMPLE, _SAMPLE_URL = 2.0, "https://example.com/page"
_PREFIXES = (TRAIT, "reached_", BEFORE, "ask_")


def template_mistakes(
    templates: Templates, play: Play, step: Step, names: LifecycleNames | None
) -> Iterable[tuple[int, str, str]]:
    """Line, problem and suggestion: unknown names, and a text that could not be rendered for some account."""
    steps = {f"{prefix}{other.name}" for other in play.steps for prefix in STEP_VALUES if other.name != step.name}
    yield from _unknown_names(templates.names(step.template), names, steps)
    footer = step.channel is not None and step.channel.needs_footer(play.class_ == TRANSACTIONAL)
    if problem := _render_error(templates, play, step, footer=footer):
        yield 1, f"{problem} (in play '{play.name}'): put it into {{% if ... is defined %}}, or name it in 'Needs:'", ""
    if footer and not _has_unsubscribe_link(templates):
        yield 1, f"no '{FOOTER}' with the unsubscribe_link to put under it", ""


def compared_metrics(templates: Templates, names: Iterable[str]) -> frozenset[str]:
    """The metrics that some text compares with a quarter ago."""
    read = (variable for name in names for variable in templates.names(name))
    return frozenset(name.removeprefix(BEFORE) for name in read if name.startswith(BEFORE)) - {"date"}


def _certain_values(play: Play, step: Step, needs: Iterable[str]) -> dict[str, Value]:
    """What is known whenever this step is sent: what it needs, and a `when` that holds has known what it reads."""
    conditional = {name: _SAMPLE for condition in play.when + step.when for name in condition.names}
    requested: dict[str, Value] = {} if play.on else {"link": "https://example.com/s/token"}
    needed: dict[str, Value] = {name: _SAMPLE_URL if name.endswith("_url") else _SAMPLE for name in needs}
    return {**needed, **conditional, **requested, **ALWAYS, **COMPANY}


def _render_error(templates: Templates, play: Play, step: Step, *, footer: bool) -> str:
    try:
        templates.render(
            step.template,
            _certain_values(play, step, templates.needs(step.template)),
            subject=step.subject,
            footer=footer,
        )
    except RenderError as error:
        return str(error)
    return ""


def _unknown_names(
    variables: Mapping[str, int], names: LifecycleNames | None, steps: Collection[str]
) -> Iterable[tuple[int, str, str]]:
    if names is None:
        return
    offered = {*names.readable(), *COMPANY, *ALWAYS, *OPTIONAL_LINKS, "link", CSM_NAME, "company_name", *steps}
    for variable, line in variables.items():
        if variable not in offered and not _prefixed(variable, names):
            yield line, f"unknown name '{variable}'", nearest(variable, offered)


def _prefixed(variable: str, names: LifecycleNames) -> bool:
    if variable.startswith(BEFORE):
        return variable.removeprefix(BEFORE) in {*names.metrics, "date"}
    if variable.startswith(DAY_OF):
        return variable.removeprefix(DAY_OF) in names.counting_up | names.counting_down
    if variable.startswith("reached_"):
        return variable.removeprefix("reached_") in names.milestones
    return variable.startswith(_PREFIXES)


def _has_unsubscribe_link(templates: Templates) -> bool:
    return FOOTER in templates and UNSUBSCRIBE_LINK in templates.names(FOOTER)
