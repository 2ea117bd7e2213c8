"""What does the whole book look like? Counted from the list of accounts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from services.console.core.shape import listed

BANDS = ("green", "yellow", "red", "unknown")
_SHOWN = 8


class Tally(NamedTuple):
    """Counts over the accounts read; `complete` is false where there are more than we read."""

    accounts: int
    complete: bool
    bands: list[tuple[str, int]]
    flags: list[tuple[str, int]]
    look_first: list[Mapping[str, Any]]
    lately: list[Mapping[str, Any]]


def tally(rows: Sequence[Mapping[str, Any]], *, complete: bool) -> Tally:
    """Count bands and flags; whom to look at first; who entered a stage last."""
    bands = Counter(str(row.get("band")) for row in rows)
    flags = Counter(flag for row in rows for flag in flags_of(row))
    at_risk = [row for row in rows if "at_risk" in flags_of(row) and row.get("stage") != "churned"]
    return Tally(
        accounts=len(rows),
        complete=complete,
        bands=[(band, bands[band]) for band in BANDS],
        flags=flags.most_common(),
        look_first=sorted(at_risk, key=_score)[:_SHOWN],
        lately=sorted(rows, key=lambda row: str(row.get("entered_at")), reverse=True)[:_SHOWN],
    )


def flags_of(row: Mapping[str, Any]) -> list[str]:
    """The flags raised for an account."""
    return [str(flag) for flag in listed(row.get("flags"))]


def _score(row: Mapping[str, Any]) -> float:
    """The lowest first; the unknown last."""
    score = row.get("score")
    return float(score) if isinstance(score, int | float) else 101.0
