"""Is a play right, and what does it come to? Every mistake with its line; a play only where there is none."""

import re
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta

from services.notify.core.conditions import conditions
from services.notify.core.durations import duration
from services.notify.core.known import Known
from services.notify.core.playbook import FOREVER, Ending, Play, Step
from services.notify.core.words import NEVER, REQUEST, On, Stop
from services.notify.core.words import Play as Written
from services.notify.core.words import Step as WrittenStep
from shared.definitions import At, Loaded, Mistake, nearest
from shared.expr import Expr

_NAME = re.compile(r"[a-z][a-z0-9_]{1,40}")
_KINDS = {
    "stage": "stages",
    "from_": "stages",
    "flag": "flags",
    "flag_cleared": "flags",
    "signal": "signals",
    "milestone": "milestones",
    "fact": "facts",
}


def checked(
    loaded: Loaded[Written], templates: Collection[str], known: Known | None
) -> tuple[Play | None, list[Mistake]]:
    """The play, or what is wrong with its file."""
    mistakes: list[Mistake] = []

    def wrong(at: At, problem: str, meant: str = "") -> None:
        mistakes.append(loaded.mistake(at, problem, meant))

    play = _play(loaded, wrong, known)
    _names(loaded.value, wrong, templates, known)
    _rest(loaded.value, wrong)
    return (None if mistakes else play), mistakes


Wrong = Callable[..., None]


def _play(loaded: Loaded[Written], wrong: Wrong, known: Known | None) -> Play:
    written = loaded.value
    return Play(
        name=written.name,
        version=loaded.version,
        class_=written.class_,
        topic=written.topic or written.class_,
        on=written.on if isinstance(written.on, On) else None,
        steps=tuple(_step(step, ("steps", index), wrong, known) for index, step in enumerate(written.steps)),
        stages=frozenset(written.stages),
        when=conditions(written.when, ("when",), wrong, known),
        unless=conditions(written.unless, ("unless",), wrong, known),
        endings=tuple(_ending(stop, ("stop", index), wrong, known) for index, stop in enumerate(written.stop)),
        cooldown=_cooldown(written.cooldown, wrong),
        audience=written.audience,
        holdout=written.holdout,
        description=written.description,
    )


def _step(step: WrittenStep, at: At, wrong: Wrong, known: Known | None) -> Step:
    after, expires = _long(step.after, (*at, "after"), wrong), _long(step.expires, (*at, "expires"), wrong)
    if expires == timedelta():
        wrong((*at, "expires"), "a step that expires at once is never sent")
    when = conditions(step.when, (*at, "when"), wrong, known)
    unless = conditions(step.unless, (*at, "unless"), wrong, known)
    return Step(step.called, after, step.channel, step.template, step.subject, expires, when, unless)


def _ending(stop: Stop, at: At, wrong: Wrong, known: Known | None) -> Ending:
    named = _given(stop)
    if len(named) != 1:
        wrong(at, "name exactly one end: stage, milestone, flag_cleared, signal, fact or when")
    holds: tuple[Expr, ...] = conditions([stop.when], at, wrong, known) if stop.when else ()
    return Ending(stop, " ".join(f"{kind} {word}" for kind, word in named), next(iter(holds), None))


def _given(entry: On | Stop) -> list[tuple[str, str]]:
    return [(kind, word) for kind in entry.__struct_fields__ if (word := getattr(entry, kind)) is not None]


def _cooldown(text: str, wrong: Wrong) -> timedelta | None:
    if not text:
        return None
    return FOREVER if text == NEVER else _long(text, ("cooldown",), wrong)


def _long(text: str, at: At, wrong: Wrong) -> timedelta:
    length = duration(text)
    if length is None:
        wrong(at, f"'{text}' is not a duration: write 30m, 12h, 7d or 2w")
    return length or timedelta()


def _rest(play: Written, wrong: Wrong) -> None:
    if play.on == REQUEST and play.cooldown:
        wrong(("cooldown",), "a play on request has no cooldown of its own: the contact budget is its cooldown")
    if play.on != REQUEST and not play.cooldown:
        wrong((), "'cooldown' is missing: how long until the play may run again, 90d or never?")
    if not 0 <= play.holdout < 1:
        wrong(("holdout",), "a share from 0 to less than 1")
    if play.audience.max_recipients < 1:
        wrong(("audience", "max_recipients"), "at least one person")
    if not play.steps:
        wrong(("steps",), "a play without steps does nothing")


def _names(play: Written, wrong: Wrong, templates: Collection[str], known: Known | None) -> None:
    if not _NAME.fullmatch(play.name):
        wrong(("name",), f"'{play.name}' is not readable: small letters, digits and _, 2 to 41 of them")
    steps = [step.called for step in play.steps]
    for index, step in enumerate(play.steps):
        if step.template not in templates:
            wrong(("steps", index, "template"), f"no template '{step.template}'", nearest(step.template, templates))
        if step.called in steps[:index]:
            wrong(("steps", index), f"two steps are called '{step.called}': give one a name of its own")
    for at, kind, word in _mentioned(play, wrong):
        names: frozenset[str] = getattr(known, kind, frozenset())
        if names and word not in names:
            wrong(at, f"no {kind.removesuffix('s')} '{word}' in the lifecycle definition", nearest(word, names))


def _mentioned(play: Written, wrong: Wrong) -> Iterable[tuple[At, str, str]]:
    """Every stage, flag, signal, milestone and fact it names, with its place."""
    yield from ((("stages", index), "stages", stage) for index, stage in enumerate(play.stages))
    if isinstance(play.on, On):
        named = _given(play.on)
        if len([kind for kind, _ in named if kind != "from_"]) != 1 or (play.on.from_ and not play.on.stage):
            wrong(("on",), "name exactly one trigger: stage (with from), flag, signal or milestone")
        yield from ((("on", kind.rstrip("_")), _KINDS[kind], word) for kind, word in named)
    for index, stop in enumerate(play.stop):
        ends = ((kind, word) for kind, word in _given(stop) if kind in _KINDS and kind != "stage")
        yield from ((("stop", index, kind), _KINDS[kind], word) for kind, word in ends)
        if stop.stage and not play.stages:
            wrong(("stop", index), "'stage: left' needs 'stages': which ones does the play belong to?")
