"""Portfolio: counts over all accounts, those at risk with the lowest health, and the latest stage changes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from services.console.core.answers import fields, listed, rows
from services.console.core.formatting import words
from shared.contracts.lifecycle import Band

BANDS: tuple[Band, ...] = get_args(Band)


class Portfolio(NamedTuple):
    """Counts of all accounts, whom to look at first, and who entered a stage last."""

    accounts: int
    bands: list[tuple[str, int]]
    flags: list[tuple[str, int]]
    look_first: Sequence[Mapping[str, Any]]
    lately: Sequence[Mapping[str, Any]]


def portfolio(
    counts: Mapping[str, Any], look_first: Sequence[Mapping[str, Any]], lately: Sequence[Mapping[str, Any]]
) -> Portfolio:
    """Lifecycle's counts with the bands in their order, and the flags with the most frequent first."""
    bands, flags = _numbers(counts.get("bands")), _numbers(counts.get("flags"))
    return Portfolio(
        accounts=_numbers(counts).get("accounts", 0),
        bands=[(band, bands.get(band, 0)) for band in BANDS],
        flags=sorted(flags.items(), key=lambda one: (-one[1], one[0])),
        look_first=look_first,
        lately=lately,
    )


def flags_of(row: Mapping[str, Any]) -> list[str]:
    """The flags raised for an account."""
    return [str(flag) for flag in listed(row.get("flags"))]


def why_raised(row: Mapping[str, Any], flag: str) -> Mapping[str, Any]:
    """Since when a flag of the account is raised, and the reason in words; nothing where neither is known."""
    found = next((one for one in rows(row.get("raised")) if one.get("flag") == flag), None)
    return {} if found is None else {**found, "reason": reason_beside_name(found)}


def reason_beside_name(raised: Mapping[str, Any]) -> str:
    """Why a flag is raised, as it stands beside the flag's name: "At risk: unpaid." says the name once more."""
    reason = str(raised.get("reason") or "")
    name, colon, rest = reason.partition(":")
    said_twice = colon and words(name.strip()).casefold() == words(raised.get("flag")).casefold()
    return f"{rest.strip()[:1].upper()}{rest.strip()[1:]}" if said_twice and rest.strip() else reason


def _numbers(answer: Any) -> dict[str, int]:
    return {name: value for name, value in fields(answer).items() if isinstance(value, int)}
