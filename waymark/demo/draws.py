"""What exactly is said at a beat? Property values that are drawn for each account when it happens."""

from random import Random  # noqa: TID251  the type of the dice; they come from `chance`
from typing import Any, NamedTuple

from waymark.demo.account import Account
from waymark.demo.names import COMMENTS
from waymark.demo.persona import Draw


class Told(NamedTuple):
    """What a draw may look at: the account, the beat's dice, its occurrence, the properties before this one."""

    account: Account
    dice: Random
    thread: str
    occurrence: int
    said: dict[str, Any]


def between(low: int, high: int) -> Draw:
    return lambda told: told.dice.randint(low, high)


def one_of(*choices: Any) -> Draw:
    return lambda told: told.dice.choice(choices)


def growing(start: float, step: float) -> Draw:
    """More each time it happens, never above all of it."""
    return lambda told: round(min(1.0, start + step * told.occurrence), 2)


def more_seats(factor: float) -> Draw:
    return lambda told: round(told.account.seats * factor)


def person(number: int) -> Draw:
    """The user id of the account's so-manyeth person; 0 is the champion."""
    return lambda told: told.account.people[min(number, len(told.account.people) - 1)].user


def ticket_id(told: Told) -> str:
    threads = [beat.thread for beat in told.account.persona.beats if beat.event == "Ticket Opened"]
    return f"Q-{told.account.number:03}{threads.index(told.thread)}{told.occurrence:02}"


def comment(told: Told) -> str:
    """A sentence that fits the score already drawn."""
    score = told.said["score"]
    band = "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"
    return str(told.dice.choice(COMMENTS[band]))


def own_code(told: Told) -> str:
    """The code this account's advocate hands out."""
    return told.account.code


def referral_code(told: Told) -> str:
    return told.account.referred_by
