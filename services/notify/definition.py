"""What did the company define for its outreach? Reads plays, budget and templates, and finds every mistake in them."""

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from services.notify.core.budget import BudgetFile
from services.notify.core.check import checked
from services.notify.core.check_budget import checked_budget
from services.notify.core.known import Known
from services.notify.core.playbook import Play, Playbook
from services.notify.core.words import Play as Written
from services.notify.rendering import TemplateMistake, Templates
from services.notify.trial import remembered, text_mistakes
from shared.contracts.evidence import Value
from shared.definitions import DefinitionError, Loaded, Mistake, load, load_plain

_SUFFIX = ".md.j2"
_ALWAYS_TOLD = frozenset({"days_in_stage", "tenure_days", "required_milestones_missing"})
M = TypeVar("M")
R = TypeVar("R")


class House(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who writes: names that every template may use."""

    product: str
    sender: str
    app_url: str
    address: str


class Definition(NamedTuple):
    """What to decide by, and what to write with: `house` goes into every rendering, beside the facts."""

    playbook: Playbook
    templates: Templates
    house: dict[str, Value]


def load_plays(config: Path, known: Known | None = None) -> Definition:
    """Read `plays/`, `templates/` and `budget.yaml` of this folder. Raises DefinitionError with all mistakes."""
    mistakes: list[Mistake] = []
    sources = {file.name.removesuffix(_SUFFIX): file.read_text("utf8") for file in _files(config, "templates", _SUFFIX)}
    templates = _templates(config / "templates", sources, mistakes)
    files = _files(config, "plays", ".yaml")
    found = [_read(file, Written, lambda loaded: _play(loaded, sources, known), mistakes) for file in files]
    budget = _read(config / "budget.yaml", BudgetFile, lambda loaded: checked_budget(loaded, known), mistakes)
    house = _read(config / "templates" / "house.yaml", House, lambda loaded: (loaded.value, []), mistakes)
    plays = {play.name: play for play in found if play}
    if not mistakes and templates:
        mistakes = [*_texts(config / "templates", plays, templates, known)]
    if mistakes or budget is None or house is None or templates is None:
        raise DefinitionError(mistakes)
    names = known or _own_names(plays)
    compared = remembered(templates, sources)
    book = Playbook(plays, budget, names.flags, names.milestones, compared, _version(config))
    return Definition(book, templates, msgspec.structs.asdict(house))


def known_names(lifecycle: Path) -> Known:
    """The names that a `lifecycle.yaml` offers, read as plain YAML: whether it is right is not our question."""
    file: Mapping[str, Any] = load_plain(lifecycle) or {}
    kinds = ("stages", "flags", "signals", "milestones")
    told = {kind: frozenset(map(str, file.get(kind) or ())) for kind in kinds}
    metrics = frozenset(map(str, file.get("metrics") or ())) | _ALWAYS_TOLD
    return Known(**told, metrics=metrics, facts=frozenset(map(str, file.get("facts") or ())))


def _files(config: Path, folder: str, suffix: str) -> list[Path]:
    return sorted(file for file in (config / folder).glob(f"*{suffix}") if not file.name.startswith("."))


def _read(
    file: Path, model: type[M], check: Callable[[Loaded[M]], tuple[R | None, list[Mistake]]], mistakes: list[Mistake]
) -> R | None:
    try:
        result, wrong = check(load(file, model))
    except DefinitionError as error:
        result, wrong = None, error.mistakes
    mistakes += wrong
    return result


def _play(
    loaded: Loaded[Written], templates: Mapping[str, str], known: Known | None
) -> tuple[Play | None, list[Mistake]]:
    play, mistakes = checked(loaded, templates, known)
    stem = Path(loaded.file).stem
    if loaded.value.name != stem:
        mistakes.append(loaded.mistake(("name",), f"the file is called '{stem}', the play '{loaded.value.name}'"))
    return play, mistakes


def _templates(folder: Path, sources: Mapping[str, str], mistakes: list[Mistake]) -> Templates | None:
    good = True
    for name, source in sources.items():
        try:
            Templates({name: source})
        except TemplateMistake as error:
            mistakes.append(Mistake(str(folder / f"{name}{_SUFFIX}"), error.line, error.problem))
            good = False
    return Templates(sources) if good else None


def _texts(folder: Path, plays: Mapping[str, Play], templates: Templates, known: Known | None) -> Iterable[Mistake]:
    for play in plays.values():
        for step in play.steps:
            found = text_mistakes(templates, play, step, known)
            yield from (Mistake(str(folder / f"{step.template}{_SUFFIX}"), *mistake) for mistake in found)


def _own_names(plays: Mapping[str, Play]) -> Known:
    """Without a lifecycle definition at hand: the flags and milestones that the plays themselves name."""
    endings = [ending.stop for play in plays.values() for ending in play.endings]
    flags = {play.on.flag for play in plays.values() if play.on} | {end.flag_cleared for end in endings}
    milestones = {play.on.milestone for play in plays.values() if play.on} | {end.milestone for end in endings}
    none: frozenset[str] = frozenset()
    return Known(none, frozenset(filter(None, flags)), none, frozenset(filter(None, milestones)), none)


def _version(config: Path) -> str:
    files = [*_files(config, "plays", ".yaml"), *_files(config, "templates", _SUFFIX), config / "budget.yaml"]
    digest = sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
