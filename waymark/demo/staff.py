"""Who works with the product today, and on what? Joining, leaving, and a day's use."""

import math
from collections.abc import Iterator
from random import Random  # noqa: TID251  the type of the dice; they come from `chance`
from typing import Any

from waymark.demo.account import Account, Person
from waymark.demo.market import AUDIENCES, REPORTS, VALUES
from waymark.demo.persona import Speaker, on

Use = tuple[str, dict[str, Any]]


class Staff:
    """The people of one account as they come and go. It needs at least its champion and its admin."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.seats = account.seats
        self._joined = 0
        self._gone: set[str] = set()

    def newcomers(self, day: int) -> tuple[Person, ...]:
        """Who gets a seat today; on weekends nobody is invited."""
        if self.account.weekday(day) > 4:
            return ()
        # Seats bought later are given out slowly.
        given_out = self.account.seats + 0.4 * (self.seats - self.account.seats)
        wanted = max(2, round(given_out * on(self.account.persona.reach, day)))
        joining = self.account.people[self._joined : min(wanted, self._joined + 2 if day else wanted)]
        self._joined += len(joining)
        return joining

    def leaves(self, user: str) -> None:
        self._gone.add(user)

    def present(self) -> list[Person]:
        return [person for person in self.account.people[: self._joined] if person.user not in self._gone]

    def speaker(self, by: Speaker, throw: Random) -> Person:
        """Who says it: where the champion is gone, the next in line."""
        present = self.present()
        if by == "anyone":
            return throw.choice(present)
        return next((person for person in present if person.role == by), present[0])

    def uses(self, day: int, throw: Random) -> Iterator[tuple[Person, Use]]:
        """What everybody does with the product today."""
        persona = self.account.persona
        # A fade is felt twice: fewer people come, and they come less often.
        left = math.sqrt(on(persona.fade, (day - self.account.last_day) / self.account.tempo))
        likely = persona.pace / 5 * left * (0.06 if self.account.weekday(day) > 4 else 1.0)
        present = self.present()
        for person in present[: math.ceil(len(present) * left)]:
            if throw.random() < likely * person.keen:
                for _ in range(throw.choice((1, 1, 1, 2))):
                    yield person, _use(self.account, throw)


def _use(account: Account, throw: Random) -> Use:
    persona, kind = account.persona, throw.random()
    if kind < persona.value:
        return "Value Delivered", {"kind": throw.choice(VALUES), "hours_saved": throw.randint(1, 8)}
    if kind < persona.value + persona.makes * 2 / 3:
        return "Report Created", {"report": throw.choice(REPORTS)}
    if kind < persona.value + persona.makes:
        return "Dashboard Shared", {"audience": throw.choice(AUDIENCES)}
    # The first features of the list are the account's favourites.
    return "Feature Used", {"feature": account.features[int(len(account.features) * throw.random() ** 1.5)]}
