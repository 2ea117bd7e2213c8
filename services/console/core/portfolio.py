"""Portfolio: counts over all accounts, those at risk with the lowest health, and the latest stage changes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from services.console.core.answers import listed
from shared.contracts.lifecycle import Band

BANDS: tuple[Band, ...] = get_args(Band)
_LISTED = 8


class Portfolio(NamedTuple):
    """Counts over the accounts read; `complete` is false where there are more than we read."""

    accounts: int
    complete: bool
    bands: list[tuple[str, int]]
    flags: list[tuple[str, int]]
    look_first: list[Mapping[str, Any]]
    lately: list[Mapping[str, Any]]


def portfolio(rows: Sequence[Mapping[str, Any]], *, complete: bool) -> Portfolio:
    """Count bands and flags; whom to look at first; who entered a stage last."""
    bands = Counter(str(row.get("band")) for row in rows)
    flags = Counter(flag for row in rows for flag in flags_of(row))
    at_risk = [row for row in rows if "at_risk" in flags_of(row) and row.get("stage") != "churned"]
    return Portfolio(
        accounts=len(rows),
        complete=complete,
        bands=[(band, bands[band]) for band in BANDS],
        flags=flags.most_common(),
        look_first=sorted(at_risk, key=_score)[:_LISTED],
        lately=sorted(rows, key=lambda row: str(row.get("entered_at")), reverse=True)[:_LISTED],
    )


def flags_of(row: Mapping[str, Any]) -> list[str]:
    """The flags raised for an account."""
    return [str(flag) for flag in listed(row.get("flags"))]


def _score(row: Mapping[str, Any]) -> float:
    """The lowest first; the unknown last."""
    score = row.get("score")
    return float(score) if isinstance(score, int | float) else 101.0
