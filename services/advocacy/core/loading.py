"""Can these definitions be used? Reads the files, and says everything that is wrong with them, by line."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from services.advocacy.core.definitions import Definitions, Referrals, Survey, Trigger
from services.advocacy.core.kinds import Kind
from shared.definitions import At, DefinitionError, Loaded, Mistake, load, nearest

T = TypeVar("T")
_KINDS = ("stage", "flag", "signal", "milestone", "tenure")
"""The kinds of trigger, each a key of its own."""


class Vocabulary(NamedTuple):
    """The names lifecycle knows; an empty collection means: not known here, do not check."""

    stages: Collection[str] = ()
    signals: Collection[str] = ()
    flags: Collection[str] = ()
    milestones: Collection[str] = ()


ANYTHING = Vocabulary()


def load_definitions(
    surveys: Path, referrals: Path, kinds: Mapping[str, Kind], known: Vocabulary = ANYTHING
) -> Definitions:
    """Read `surveys/*.yaml` and `referrals.yaml`. Raises DefinitionError with every mistake of every file."""
    mistakes: list[Mistake] = []
    read = [_read(path, Survey, mistakes) for path in sorted(surveys.glob("*.yaml"))]
    loaded = [survey for survey in read if survey]
    rules = _read(referrals, Referrals, mistakes)
    for survey in loaded:
        mistakes += survey_mistakes(survey, kinds, known)
    if rules:
        mistakes += referral_mistakes(rules, known)
    if mistakes or rules is None:
        raise DefinitionError(mistakes)
    versions = {survey.value.name: survey.version for survey in loaded} | {"referrals": rules.version}
    return Definitions(tuple(survey.value for survey in loaded), rules.value, dict(kinds), versions)


def _read(path: Path, model: type[T], mistakes: list[Mistake]) -> Loaded[T] | None:
    try:
        return load(path, model)
    except DefinitionError as error:
        mistakes += error.mistakes
        return None


def survey_mistakes(loaded: Loaded[Survey], kinds: Mapping[str, Kind], known: Vocabulary) -> Iterable[Mistake]:
    """What the types cannot say about a survey."""
    survey = loaded.value
    if survey.name != Path(loaded.file).stem:
        yield loaded.mistake(("name",), f"survey '{survey.name}' stands in a file of another name")
    if survey.name == "referrals":
        yield loaded.mistake(("name",), "'referrals' is the name of the referral rules")
    if survey.kind not in kinds:
        yield loaded.mistake(("kind",), f"no kind of survey '{survey.kind}'", nearest(survey.kind, kinds))
    if survey.open > survey.cooldown.same_survey:
        yield loaded.mistake(("open",), "a person could have this survey open twice: make cooldown.same_survey longer")
    yield from _trigger_mistakes(loaded, known)
    for index, stage in enumerate(survey.never_in):
        yield from _unknown(loaded, ("never_in", index), "stage", stage, known.stages)


def _trigger_mistakes(loaded: Loaded[Survey], known: Vocabulary) -> Iterable[Mistake]:
    triggers = loaded.value.on
    for index, trigger in enumerate(triggers):
        at: At = ("on", index)
        if trigger in triggers[:index]:
            yield loaded.mistake(at, "this trigger stands here twice")
        if len([kind for kind in _KINDS if getattr(trigger, kind) is not None]) != 1:
            yield loaded.mistake(at, f"a trigger names exactly one of {', '.join(_KINDS)}")
        if trigger.from_ and trigger.stage is None:
            yield loaded.mistake((*at, "from"), "only a stage is entered from another one")
        if trigger.stage and trigger.stage in loaded.value.never_in:
            yield loaded.mistake(at, f"'{trigger.stage}' starts the survey and is never surveyed")
        yield from _unknown_names(loaded, at, trigger, known)


def _unknown_names(loaded: Loaded[Survey], at: At, trigger: Trigger, known: Vocabulary) -> Iterable[Mistake]:
    for key, what, name, names in (
        ("stage", "stage", trigger.stage, known.stages),
        ("from", "stage", trigger.from_, known.stages),
        ("flag", "flag", trigger.flag, known.flags),
        ("signal", "signal", trigger.signal, known.signals),
        ("milestone", "milestone", trigger.milestone, known.milestones),
    ):
        if name:
            yield from _unknown(loaded, (*at, key), what, name, names)


def referral_mistakes(loaded: Loaded[Referrals], known: Vocabulary) -> Iterable[Mistake]:
    """What the types cannot say about the referral rules."""
    ask, facts = loaded.value.ask, loaded.value.facts
    yield from _unknown(loaded, ("ask", "stage"), "stage", ask.stage, known.stages)
    yield from _unknown(loaded, ("ask", "signal"), "signal", ask.signal, known.signals)
    if ask.exit_score > ask.min_score:
        yield loaded.mistake(("ask", "exit_score"), "an account would be asked and dropped at the same score")
    if ask.open > ask.cooldown:
        yield loaded.mistake(("ask", "open"), "two asks could be open at once: make the cooldown longer")
    if len({facts.signup, facts.paid, facts.refunded, facts.code_issued}) < 4:
        yield loaded.mistake(("facts",), "one event cannot tell two things")
    for index, domain in enumerate(loaded.value.free_mail):
        if domain != domain.strip().lower() or "@" in domain or "." not in domain:
            yield loaded.mistake(("free_mail", index), f"'{domain}' is not a domain in lower case")


def _unknown(loaded: Loaded[Any], at: At, what: str, name: str, known: Collection[str]) -> Iterable[Mistake]:
    if known and name not in known:
        yield loaded.mistake(at, f"lifecycle has no {what} '{name}'", nearest(name, known))
