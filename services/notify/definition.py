"""Definition of a company's outreach: plays, budget and templates read from its folder, with every mistake in them."""

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from services.notify.core.budget import Budget, BudgetFile, checked_budget
from services.notify.core.channels import Channels
from services.notify.core.conditions import LifecycleNames
from services.notify.core.play_check import checked_play
from services.notify.core.play_schema import PlayFile
from services.notify.core.playbook import Counting, Play, Playbook
from services.notify.core.steps.kind import Offered
from services.notify.mail_design import MailDesign
from services.notify.rendering import TemplateMistake, Templates
from services.notify.template_check import compared_metrics, template_mistakes
from shared.brand import BRAND_FILE, HOUSE_FILE, OPTIONAL_LINKS, Brand, load_brand
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import SNAPSHOT_METRICS
from shared.definitions import DefinitionError, Loaded, Mistake, load, load_plain, nearest

_SUFFIX = ".md.j2"
M = TypeVar("M")
R = TypeVar("R")


class Definition(NamedTuple):
    """What to decide by, and what to write with: `company` goes into every rendering, beside the account's values."""

    playbook: Playbook
    templates: Templates
    company: dict[str, Value]
    brand: Brand


def load_plays(config: Path, channels: Channels, names: LifecycleNames | None = None) -> Definition:
    """Read `plays/`, `templates/`, `budget.yaml` and `brand.yaml` of this folder. Raises DefinitionError with all mistakes."""
    mistakes: list[Mistake] = []
    brand = _brand(config, mistakes)
    sources = {file.name.removesuffix(_SUFFIX): file.read_text("utf8") for file in _files(config, "templates", _SUFFIX)}
    templates = _templates(config / "templates", sources, brand, mistakes)
    files = _files(config, "plays", ".yaml")
    offered = Offered(sources, channels, names)
    found = [_read(file, PlayFile, lambda loaded: _play(loaded, offered), mistakes) for file in files]
    budget = _read(config / "budget.yaml", BudgetFile, lambda loaded: checked_budget(loaded, names), mistakes)
    plays = {play.name: play for play in found if play}
    mistakes += _topics(config / "budget.yaml", budget, plays) if budget else []
    if not mistakes and templates:
        mistakes = [*_texts(config / "templates", plays, templates, names)]
    if mistakes or budget is None or brand is None or templates is None:
        raise DefinitionError(mistakes)
    plays = {name: play._replace(lacks=_lacks(play, templates, brand)) for name, play in plays.items()}
    names = names or _names_of(plays)
    compared = compared_metrics(templates, sources)
    book = Playbook(plays, budget, channels, names.flags, names.milestones, compared, _version(config))
    book = book._replace(counting=Counting(names.counting_up, names.counting_down))
    return Definition(book, templates, dict(brand.names), brand)


def lifecycle_names(lifecycle: Path) -> LifecycleNames:
    """The names that a `lifecycle.yaml` offers, read as plain YAML: lifecycle checks whether the file is right."""
    file: Mapping[str, Any] = load_plain(lifecycle) or {}
    kinds = ("stages", "flags", "signals", "milestones")
    named = {kind: frozenset(map(str, file.get(kind) or ())) for kind in kinds}
    metrics = frozenset(map(str, file.get("metrics") or ())) | {*SNAPSHOT_METRICS}
    facts = frozenset(map(str, file.get("facts") or ()))
    up, down = (_of_kind(file.get("metrics"), kind) for kind in ("days_since", "days_until"))
    return LifecycleNames(**named, metrics=metrics, facts=facts, counting_up=up, counting_down=down)


def _of_kind(metrics: object, kind: str) -> frozenset[str]:
    given = metrics.items() if isinstance(metrics, Mapping) else ()
    return frozenset(str(name) for name, one in given if isinstance(one, Mapping) and one.get("kind") == kind)


def _files(config: Path, folder: str, suffix: str) -> list[Path]:
    return sorted(file for file in (config / folder).glob(f"*{suffix}") if not file.name.startswith("."))


def _read(
    file: Path, model: type[M], check: Callable[[Loaded[M]], tuple[R | None, list[Mistake]]], mistakes: list[Mistake]
) -> R | None:
    try:
        result, found = check(load(file, model))
    except DefinitionError as error:
        result, found = None, error.mistakes
    mistakes += found
    return result


def _play(loaded: Loaded[PlayFile], offered: Offered) -> tuple[Play | None, list[Mistake]]:
    play, mistakes = checked_play(loaded, offered)
    stem = Path(loaded.file).stem
    if loaded.value.name != stem:
        mistakes.append(loaded.mistake(("name",), f"the file is called '{stem}', the play '{loaded.value.name}'"))
    return play, mistakes


def _brand(config: Path, mistakes: list[Mistake]) -> Brand | None:
    try:
        return load_brand(config)
    except DefinitionError as error:
        mistakes += error.mistakes
        return None


def _lacks(play: Play, templates: Templates, brand: Brand) -> str:
    """What brand.yaml would have to say for the play to start; empty where nothing is missing."""
    needed = {name for step in play.steps if step.template for name in templates.needs(step.template)}
    missing = sorted(OPTIONAL_LINKS[name] for name in needed & OPTIONAL_LINKS.keys() - brand.names.keys())
    named = " and ".join(f"'{name}'" for name in missing)
    return f"{BRAND_FILE} has no link {named}" if missing else ""


def _templates(
    folder: Path, sources: Mapping[str, str], brand: Brand | None, mistakes: list[Mistake]
) -> Templates | None:
    good = True
    for name, source in sources.items():
        try:
            Templates({name: source})
        except TemplateMistake as error:
            mistakes.append(Mistake(str(folder / f"{name}{_SUFFIX}"), error.line, error.problem))
            good = False
    return Templates(sources, MailDesign(brand) if brand else None) if good else None


def _texts(
    folder: Path, plays: Mapping[str, Play], templates: Templates, names: LifecycleNames | None
) -> Iterable[Mistake]:
    for play in plays.values():
        for step in (step for step in play.steps if step.template):
            found = template_mistakes(templates, play, step, names)
            yield from (Mistake(str(folder / f"{step.template}{_SUFFIX}"), *mistake) for mistake in found)


def _topics(file: Path, budget: Budget, plays: Mapping[str, Play]) -> Iterable[Mistake]:
    """A cap on a topic that is spelt otherwise in the plays would count nothing. One that no play has (any more) harms nobody."""
    topics = {play.topic for play in plays.values()}
    loaded = load(file, BudgetFile)
    for index, cap in enumerate(budget.caps):
        for topic in sorted(cap.topics - topics):
            if meant := nearest(topic, topics):
                yield loaded.mistake(("caps", index, "topics"), f"no play has the topic '{topic}'", meant)


def _names_of(plays: Mapping[str, Play]) -> LifecycleNames:
    """Without a lifecycle definition at hand: the flags and milestones that the plays themselves name."""
    stops = [condition.stop for play in plays.values() for condition in play.stops]
    flags = {play.on.flag for play in plays.values() if play.on} | {stop.flag_cleared for stop in stops}
    milestones = {play.on.milestone for play in plays.values() if play.on} | {stop.milestone for stop in stops}
    none: frozenset[str] = frozenset()
    return LifecycleNames(none, frozenset(filter(None, flags)), none, frozenset(filter(None, milestones)), none)


def _version(config: Path) -> str:
    files = [*_files(config, "plays", ".yaml"), *_files(config, "templates", _SUFFIX), config / "budget.yaml"]
    files += [file for file in (config / BRAND_FILE, config / HOUSE_FILE) if file.exists()]
    digest = sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
