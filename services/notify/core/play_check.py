"""Play check: every mistake of a play's file with its line, and the compiled play where there is none."""

import re
from collections.abc import Iterable
from datetime import timedelta

from services.notify.core.conditions import LifecycleNames, ReportMistake, conditions
from services.notify.core.play_schema import NEVER, REQUEST, PlayFile
from services.notify.core.playbook import FOREVER, Play, Step, Stop, StopCondition, Trigger
from services.notify.core.steps.kind import Delay, Offered
from shared.definitions import At, Loaded, Mistake, named

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


def checked_play(loaded: Loaded[PlayFile], offered: Offered) -> tuple[Play | None, list[Mistake]]:
    """The play, or the mistakes in its file."""
    mistakes: list[Mistake] = []

    def report(at: At, problem: str, meant: str = "") -> None:
        mistakes.append(loaded.mistake(at, problem, meant))

    play = _play(loaded, report, offered)
    _check_names(loaded.value, play.steps, report, offered)
    _check_numbers(loaded.value, report)
    return (None if mistakes else play), mistakes


def _play(loaded: Loaded[PlayFile], report: ReportMistake, offered: Offered) -> Play:
    file, names = loaded.value, offered.names
    return Play(
        name=file.name,
        version=loaded.version,
        class_=file.class_,
        topic=file.topic or file.class_,
        on=file.on if isinstance(file.on, Trigger) else None,
        steps=tuple(step.check(("steps", index), report, offered) for index, step in enumerate(file.steps)),
        stages=frozenset(file.stages),
        when=conditions(file.when, ("when",), report, names),
        unless=conditions(file.unless, ("unless",), report, names),
        stops=tuple(_stop(stop, ("stop", index), report, names) for index, stop in enumerate(file.stop)),
        cooldown=_cooldown(file.cooldown, report),
        audience=file.audience,
        holdout=file.holdout,
        description=file.description,
        causes=frozenset(file.causes),
        precedence=file.precedence,
    )


def _stop(stop: Stop, at: At, report: ReportMistake, names: LifecycleNames | None) -> StopCondition:
    given = _given(stop)
    if len(given) != 1:
        report(at, "name exactly one end: stage, milestone, flag_cleared, signal, fact or when")
    compiled = conditions([stop.when], at, report, names) if stop.when else ()
    return StopCondition(stop, " ".join(f"{kind} {word}" for kind, word in given), next(iter(compiled), None))


def _given(entry: Trigger | Stop) -> list[tuple[str, str]]:
    return [(kind, word) for kind in entry.__struct_fields__ if (word := getattr(entry, kind)) is not None]


def _cooldown(text: str, report: ReportMistake) -> timedelta | None:
    if not text:
        return None
    if text == NEVER:
        return FOREVER
    try:
        return Delay.parse(text)
    except ValueError as error:
        report(("cooldown",), f"{error}, or never")
        return None


def _check_numbers(play: PlayFile, report: ReportMistake) -> None:
    if play.on == REQUEST and play.cooldown:
        report(("cooldown",), "a play on request has no cooldown of its own: the contact budget is its cooldown")
    if play.on != REQUEST and not play.cooldown:
        report((), "'cooldown' is missing: how long until the play may run again, 90d or never?")
    if play.on == REQUEST and play.causes:
        report(("causes",), "a play on request is no answer to a cause: advocacy decides when it is asked for")
    if not 0 <= play.holdout < 1:
        report(("holdout",), "a share from 0 to less than 1")
    if play.audience.max_recipients < 1:
        report(("audience", "max_recipients"), "at least one person")
    if not play.steps:
        report(("steps",), "a play without steps does nothing")


def _check_names(play: PlayFile, steps: tuple[Step, ...], report: ReportMistake, offered: Offered) -> None:
    if not _NAME.fullmatch(play.name):
        report(("name",), f"'{play.name}' is not readable: small letters, digits and _, 2 to 41 of them")
    names_of_steps = [step.name for step in steps]
    for index, name in enumerate(names_of_steps):
        if name in names_of_steps[:index]:
            report(("steps", index), f"two steps are called '{name}': give one a name of its own")
    for at, kind, word in _mentioned(play, report):
        names: frozenset[str] = getattr(offered.names, kind, frozenset())
        if names and word not in names:
            report(at, *named(f"no {kind.removesuffix('s')} '{word}' in the lifecycle definition", word, names))


def _mentioned(play: PlayFile, report: ReportMistake) -> Iterable[tuple[At, str, str]]:
    """Every stage, flag, signal, milestone and fact it names, with its place."""
    yield from ((("stages", index), "stages", stage) for index, stage in enumerate(play.stages))
    if isinstance(play.on, Trigger):
        given = _given(play.on)
        if len([kind for kind, _ in given if kind != "from_"]) != 1 or (play.on.from_ and not play.on.stage):
            report(("on",), "name exactly one trigger: stage (with from), flag, signal or milestone")
        yield from ((("on", kind.rstrip("_")), _KINDS[kind], word) for kind, word in given)
    for index, stop in enumerate(play.stop):
        ends = ((kind, word) for kind, word in _given(stop) if kind in _KINDS and kind != "stage")
        yield from ((("stop", index, kind), _KINDS[kind], word) for kind, word in ends)
        if stop.stage and not play.stages:
            report(("stop", index), "'stage: left' needs 'stages': which ones does the play belong to?")
