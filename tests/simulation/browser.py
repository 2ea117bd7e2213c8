"""Browser: posts with the public key, as a page does that somebody uses, and as somebody does who read the key in it."""

from collections.abc import Callable
from typing import Any

from tests.chaos.trusted import EVIL
from tests.simulation.chance import Chance
from tests.simulation.workload import Body, Customer, Workload

_FACTS = (
    *("invoice_paid", "invoice_failed", "invoice_refunded", "referred_signup", "referral_code_issued"),
    *("subscription_started", "champion_left"),
)


class Browser:
    """Makes requests about customers of whom the company has told."""

    def __init__(self, workload: Workload, chance: Chance) -> None:
        self._workload = workload
        self._chance = chance
        self._claims: tuple[Callable[[Customer, Customer, str], Body], ...] = (
            *(self._fact, self._person, self._account),
            *(self._membership, self._alias, self._history),
        )

    def request(self) -> list[Body]:
        """Two uses, and between them a claim. Nothing while nobody is known."""
        known = [one for one in self._workload.customers if one.name in self._workload.introduced]
        if not known:
            return []
        customer, other = self._chance.one(known), self._chance.one(known)
        user = self._chance.one(customer.users)
        claim = self._chance.one(self._claims)(customer, other, user)
        return [self._use(customer, user), claim, self._workload.event(None, user, type="track", event="used")]

    def _use(self, customer: Customer, user: str) -> Body:
        return self._workload.event(customer.name, user, type="track", event=f"used:{self._chance.one('abcd')}")

    def _fact(self, customer: Customer, _other: Customer, user: str) -> Body:
        told: dict[str, Any] = {"amount": 100, "mrr": 1, "referral_code": "CODE-EVIL", "email": f"{user}@{EVIL}"}
        name = self._chance.one(_FACTS)
        return self._workload.event(customer.name, user, type="track", event=name, properties=told)

    def _person(self, customer: Customer, _other: Customer, user: str) -> Body:
        traits = {"email": f"{user}@{EVIL}", "role": "admin"}
        return self._workload.event(customer.name, user, type="identify", traits=traits)

    def _account(self, customer: Customer, _other: Customer, user: str) -> Body:
        return self._workload.event(customer.name, user, type="group", traits={"mrr": 1, "name": EVIL})

    def _membership(self, _customer: Customer, other: Customer, user: str) -> Body:
        return self._workload.event(other.name, user, type="group", traits={"industry": EVIL})

    def _alias(self, customer: Customer, other: Customer, user: str) -> Body:
        return self._workload.event(customer.name, user, type="alias", previousId=self._chance.one(other.users))

    def _history(self, customer: Customer, _other: Customer, user: str) -> Body:
        return {**self._use(customer, user), "history": "an-import-of-mine"}
