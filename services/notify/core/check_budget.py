"""Is the contact budget right, and what does it come to?"""

from collections.abc import Callable
from datetime import time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.notify.core.budget import BudgetFile, Quiet
from services.notify.core.conditions import conditions
from services.notify.core.durations import duration
from services.notify.core.hours import time_of_day
from services.notify.core.known import Known
from services.notify.core.playbook import Budget, Cap
from services.notify.core.playbook import Quiet as QuietHours
from shared.definitions import At, Loaded, Mistake


def checked_budget(loaded: Loaded[BudgetFile], known: Known | None) -> tuple[Budget | None, list[Mistake]]:
    """The budget, or what is wrong with its file."""
    mistakes: list[Mistake] = []

    def wrong(at: At, problem: str, meant: str = "") -> None:
        mistakes.append(loaded.mistake(at, problem, meant))

    budget = _budget(loaded.value, wrong, known)
    return (None if mistakes else budget), mistakes


def _budget(file: BudgetFile, wrong: Callable[..., None], known: Known | None) -> Budget | None:
    if not _is_zone(file.timezone):
        wrong(("timezone",), f"no time zone '{file.timezone}': write one such as Europe/Berlin")
    pauses = conditions([file.pause.when], ("pause", "when"), wrong, known)
    quiet = _quiet(file.quiet, wrong) if file.quiet else None
    caps = _caps(file, wrong)
    open_task = _long(file.open_task, ("open_task",), wrong)
    if not pauses:
        return None
    paused = frozenset[str](file.pause.classes)
    return Budget(caps, pauses[0], paused, quiet, file.timezone, file.holdout_salt, open_task)


def _caps(file: BudgetFile, wrong: Callable[..., None]) -> tuple[Cap, ...]:
    caps = []
    for index, cap in enumerate(file.caps):
        if cap.max < 1:
            wrong(("caps", index, "max"), "at least 1: to send nothing at all, remove the plays")
        within = _long(cap.within, ("caps", index, "within"), wrong)
        caps.append(Cap(cap.name, cap.max, within, cap.account, frozenset(cap.classes), frozenset(cap.topics)))
    return tuple(caps)


def _quiet(quiet: Quiet, wrong: Callable[..., None]) -> QuietHours:
    begin, end = time_of_day(quiet.from_), time_of_day(quiet.until)
    if begin is None or end is None or begin < end:
        wrong(("quiet",), "'from' and 'until' are times of day such as 20:00 and 08:00, over midnight")
    return QuietHours(begin or time.min, end or time.min, quiet.weekends)


def _long(text: str, at: At, wrong: Callable[..., None]) -> timedelta:
    length = duration(text)
    if not length:
        wrong(at, f"'{text}' is not a duration: write 12h, 7d or 2w")
    return length or timedelta()


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
