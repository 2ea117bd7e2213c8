"""How long was the account where? Its stages as stretches of one line."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from services.console.core.shape import number


class Stretch(NamedTuple):
    """One stay. `left` and `width` are percent of the line; `until` is None while it lasts."""

    stage: str
    since: str
    until: str | None
    days: int
    left: float
    width: float


def stretches(moves: Sequence[Mapping[str, Any]], clock: Any) -> list[Stretch]:
    """From the stage changes, in any order, up to the account's clock."""
    in_order = sorted(moves, key=lambda move: number(move.get("seq")))
    entered = [(at, str(move.get("stage"))) for move in in_order if (at := _at(move.get("at")))]
    if not entered:
        return []
    first, end = entered[0][0], max(_at(clock) or entered[-1][0], entered[-1][0])
    whole = max((end - first).total_seconds(), 1.0)
    ends = [*(at for at, _ in entered[1:]), end]
    return [
        Stretch(
            stage=stage,
            since=at.isoformat(),
            until=until.isoformat() if place + 1 < len(entered) else None,
            days=(until - at).days,
            left=round(100 * (at - first).total_seconds() / whole, 2),
            width=round(100 * (until - at).total_seconds() / whole, 2),
        )
        for place, ((at, stage), until) in enumerate(zip(entered, ends, strict=True))
    ]


def _at(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else None
