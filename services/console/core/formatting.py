"""Formatting: decisions, values and times as a person writes them; a missing value reads as a dash."""

from collections.abc import Callable, Mapping
from typing import Any

from shared.values import major_units, written_money

_DASH = "\u2013"


def value(given: Any) -> str:
    """A metric's or trait's value: 3, 0.83, yes, unknown."""
    if given is None:
        return "unknown"
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, float):
        return f"{round(given, 2):g}" if abs(given) < 10_000 else f"{given:,.0f}"
    return (
        f"{given:,}"
        if isinstance(given, int)
        else ", ".join(map(str, given))
        if isinstance(given, list)
        else str(given)
    )


def number(given: Any) -> str:
    """A count or a figure of a table."""
    return value(given) if isinstance(given, int | float) and not isinstance(given, bool) else _DASH


def money(minor: Any, currency: Any) -> str:
    """An amount of minor units, as mails write it: €25.00."""
    return written_money(major_units(minor, currency), currency) if isinstance(minor, int) else _DASH


def whole(given: Any) -> str:
    """A figure without its fraction."""
    return f"{given:,.0f}" if isinstance(given, int | float) else _DASH


def percent(share: Any) -> str:
    """A share of one, as percent."""
    return f"{share:.0%}" if isinstance(share, int | float) else _DASH


def words(name: Any) -> str:
    """`value_realization` as it is read aloud."""
    return str(name).replace("_", " ") if name else _DASH


_LEDGER_ACCOUNTS = {
    "assets:payouts": "paid out",
    "expense:referral_rewards": "cost of rewards",
    "liability:rewards_held": "owed, held back until refunds are past",
    "liability:rewards_payable": "owed, to be paid now",
    "liability:rewards_pending": "owed, not let out yet",
}


def ledger_account(name: Any) -> str:
    """An account of the ledger of rewards, as a person says it."""
    return _LEDGER_ACCOUNTS.get(str(name), words(str(name or "").replace(":", ", ")))


_HOUR = 3600
_DAY = 86_400


def after(seconds: Any) -> str:
    """The time after a play's start: at once, after 3 days."""
    if not isinstance(seconds, int | float) or not seconds:
        return "at once"
    size, one = (_DAY, "day") if seconds >= _DAY else (_HOUR, "hour") if seconds >= _HOUR else (60, "minute")
    count = round(seconds / size, 1)
    return f"after {count:g} {one}{'' if count == 1 else 's'}"


def rule(name: Any) -> str:
    """A rule's name as it is read: onboarding or adoption \u2192 churned."""
    return words(name).replace("->", " \u2192 ").replace("|", " or ").replace("*", "anywhere")


def day(at: Any) -> str:
    """The day of a timestamp."""
    return at[:10] if isinstance(at, str) and at else _DASH


def moment(at: Any) -> str:
    """A timestamp to the minute, in UTC as everything here."""
    return at[:16].replace("T", " ") if isinstance(at, str) and at else _DASH


def decision(one: Mapping[str, Any]) -> str:
    """A lifecycle decision in a few words."""
    kind = str(one.get("kind") or "")
    text_of = _DECISIONS.get(kind)
    return text_of(one) if text_of else words(kind)


def _stage(one: Mapping[str, Any]) -> str:
    return f"{words(one.get('previous') or 'first seen')} → {words(one.get('stage'))}"


def _milestone(one: Mapping[str, Any]) -> str:
    corrected = ", corrected by a late event" if one.get("corrected") else ""
    return f"milestone {words(one.get('milestone'))}{corrected}"


def _contact(one: Mapping[str, Any]) -> str:
    return f"contact {one.get('name') or one.get('user')}{' left' if one.get('gone') else ''}"


_CORRECTED = {
    "stage": "the change to {}",
    "flag_raised": "{} raised",
    "flag_cleared": "{} cleared",
    "signal": "signal {}",
    "milestone": "milestone {}",
    "health": "health {}",
}


def _corrections(one: Mapping[str, Any]) -> str:
    event = one.get("event") or {}
    told = "; ".join(map(_correction, one.get("decisions") or ()))
    return f"late event {words(event.get('name'))} of {day(event.get('at'))}: {told}"


def _correction(one: Mapping[str, Any]) -> str:
    what = _CORRECTED.get(str(one.get("decision")), "{}").format(words(one.get("name")))
    stood, would_be = one.get("stood_at"), one.get("would_be_at")
    if would_be is None:
        return f"{what} on {day(stood)} would not have been"
    earlier = f", not on {day(stood)}" if stood else ""
    return f"{what} would have been on {day(would_be)}{earlier}"


_DECISIONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "stage_changed": _stage,
    "flag_changed": lambda one: f"{words(one.get('flag'))} {'raised' if one.get('raised') else 'cleared'}",
    "signal_raised": lambda one: f"signal {words(one.get('signal'))}",
    "milestone_reached": _milestone,
    "health_changed": lambda one: f"health {words(one.get('previous'))} → {words(one.get('band'))}",
    "contact_changed": _contact,
    "fact_observed": lambda one: f"fact {words(one.get('fact'))}",
    "decision_corrected": _corrections,
    "clock_advanced": lambda one: "the wall clock takes over" if one.get("live") else "history ends here",
}
