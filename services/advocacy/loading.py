"""Loading of definition files: reads the surveys and the referral rules, and reports every mistake of every file by line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from services.advocacy.core.definitions import (
    Definitions,
    Referrals,
    Survey,
    Vocabulary,
    referral_mistakes,
    survey_mistakes,
)
from services.advocacy.core.survey_kinds import SURVEY_KINDS, SurveyKind
from shared.contracts.lifecycle import SNAPSHOT_METRICS
from shared.definitions import DefinitionError, Loaded, Mistake, load, load_plain
from shared.settings import Settings

T = TypeVar("T")
REFERRALS = "referrals"


def definitions(settings: Settings) -> Definitions:
    """The company's surveys and referral rules. Raises DefinitionError with every mistake."""
    config = settings.config
    return load_definitions(config / "surveys", config / "referrals.yaml", vocabulary=vocabulary(config))


def vocabulary(config: Path) -> Vocabulary:
    """The names that surveys and referral rules may use, from the files beside them, read as plain YAML.

    Whether those files are right, their own services check. Raises DefinitionError for a file that is no YAML.
    """
    lifecycle, plays = config / "lifecycle.yaml", config / "plays"
    found = Vocabulary()
    if lifecycle.exists():
        file: Mapping[str, Any] = load_plain(lifecycle) or {}
        stages, signals, flags, milestones, metrics, facts = (
            frozenset(map(str, file.get(kind) or ()))
            for kind in ("stages", "signals", "flags", "milestones", "metrics", "facts")
        )
        metrics |= {*SNAPSHOT_METRICS}
        found = Vocabulary(stages, signals, flags, milestones, metrics, facts)
    if plays.is_dir():
        files = [file for file in sorted(plays.glob("*.yaml")) if not file.name.startswith(".")]
        found = found._replace(plays={file.stem: _is_on_request(file) for file in files})
    return found


def _is_on_request(play: Path) -> bool:
    file = load_plain(play)
    return isinstance(file, dict) and file.get("on") == "request"


def load_definitions(
    surveys: Path,
    referrals: Path,
    kinds: Mapping[str, SurveyKind] = SURVEY_KINDS,
    vocabulary: Vocabulary = Vocabulary(),  # noqa: B008  an immutable value
) -> Definitions:
    """Read `surveys/*.yaml` and `referrals.yaml`. Raises DefinitionError with every mistake of every file."""
    mistakes: list[Mistake] = []
    read = [_read(path, Survey, mistakes) for path in sorted(surveys.glob("*.yaml"))]
    loaded = [survey for survey in read if survey]
    rules = _read(referrals, Referrals, mistakes)
    for survey in loaded:
        mistakes += survey_mistakes(survey, kinds, vocabulary)
    if rules:
        mistakes += referral_mistakes(rules, vocabulary)
    if mistakes or rules is None:
        raise DefinitionError(mistakes)
    versions = {survey.value.name: survey.version for survey in loaded} | {REFERRALS: rules.version}
    files = {survey.value.name: survey.text for survey in loaded} | {REFERRALS: rules.text}
    return Definitions(tuple(survey.value for survey in loaded), rules.value, kinds, versions, files)


def _read(path: Path, model: type[T], mistakes: list[Mistake]) -> Loaded[T] | None:
    try:
        return load(path, model)
    except DefinitionError as error:
        mistakes += error.mistakes
        return None
