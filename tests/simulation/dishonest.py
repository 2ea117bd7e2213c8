"""Dishonest: posts with times that are not so: about honest accounts with the public key, about made-up ones with the server's."""

from datetime import datetime

from tests.chaos.times import LIAR, lies, made_up_history
from tests.simulation.chance import Chance
from tests.simulation.clock import Clock
from tests.simulation.host import BROWSER_KEY, KEY
from tests.simulation.workload import Body, Workload

_LIARS = 3
_MOST = 4


class Dishonest:
    """Makes requests; what they tell is a page, which counts nowhere but makes an account older or later."""

    def __init__(self, workload: Workload, chance: Chance, clock: Clock, names: str = "") -> None:
        self._names = names
        self._workload = workload
        self._chance = chance
        self._clock = clock
        self._liars: list[str] = []

    def request(self) -> tuple[list[Body], datetime, str]:
        """What is posted, when, and with which key."""
        now, known = (
            self._clock.now(),
            [one for one in self._workload.customers if one.name in self._workload.introduced],
        )
        if len(self._liars) < _LIARS and self._chance.random.random() < 0.4:
            return self.history(), now, KEY
        if known and (not self._liars or self._chance.random.random() < 0.7):
            customer = self._chance.one(known)
            return self._some(customer.name, self._chance.one(customer.users), now), now, BROWSER_KEY
        if not self._liars:
            return self._some(LIAR, LIAR, now), now, BROWSER_KEY
        account = self._chance.one(self._liars)
        return self._some(account, account, now), now, KEY

    def history(self) -> list[Body]:
        """A new account from the first to the last year that anybody writes."""
        self._liars.append(f"{self._names}{LIAR}{len(self._liars)}")
        account = self._liars[-1]
        return [self._page(account, account, one) for one in made_up_history()]

    def _some(self, account: str, user: str, now: datetime) -> list[Body]:
        drawn = self._chance.random.sample(lies(now), self._chance.random.randint(1, _MOST))
        return [self._page(account, user, one) for one in drawn]

    def _page(self, account: str, user: str, envelope: Body) -> Body:
        return {**self._workload.event(account, user, type="page", name="Start"), **envelope}
