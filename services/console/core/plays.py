"""Plays: whom each reached, and what was not sent and why, the most frequent reason first."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from services.console.core.answers import fields, largest, listed, rows

_REACHED = ("sent", "opened", "done")
_WAITING = ("previewed", "pending", "sending")
_NOT_SENT = ("skipped", "failed", "unknown")


class PlayRow(NamedTuple):
    """One play; `lacks` is what has to be configured before it starts. `reached` are messages sent and tasks opened, `waiting` those that may still go, `not_sent` those that will not."""

    name: str
    description: str
    outreach_class: str
    trigger: str
    stages: Sequence[str]
    steps: Sequence[Mapping[str, Any]]
    reached: int
    waiting: int
    not_sent: int
    reasons: Sequence[tuple[str, float]]
    lacks: str = ""


def play_rows(plays: Iterable[Mapping[str, Any]]) -> list[PlayRow]:
    """The plays, those that reach most first."""
    found = [play_row(play) for play in plays]
    return sorted(found, key=lambda play: (-play.reached - play.waiting, play.name))


def play_row(play: Mapping[str, Any]) -> PlayRow:
    """One play as notify tells it."""
    counts = fields(play.get("counts"))
    return PlayRow(
        name=str(play.get("name") or ""),
        description=str(play.get("description") or ""),
        outreach_class=str(play.get("outreach_class") or ""),
        trigger=str(play.get("trigger") or ""),
        stages=[str(stage) for stage in listed(play.get("stages"))],
        steps=rows(play.get("steps")),
        reached=_sum(counts, _REACHED),
        waiting=_sum(counts, _WAITING),
        not_sent=_sum(counts, _NOT_SENT),
        reasons=largest(play.get("reasons")),
        lacks=str(play.get("lacks") or ""),
    )


def _sum(counts: Mapping[str, Any], statuses: Iterable[str]) -> int:
    return sum(count for status in statuses if isinstance(count := counts.get(status), int))
