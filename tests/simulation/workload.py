"""Workload: a fortnight of a few accounts and their users, drawn from the seed."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from shared.contracts.usage import HISTORY_ENDED
from tests.simulation.chance import Chance
from tests.simulation.clock import Clock

Body = dict[str, Any]
ROAMER = "roamer"
"""A user id that stands in several accounts, under an address in each."""
_ROAMED = 2
_PAST_DAYS = 30
_WINDOW = timedelta(days=2)
"""What a client posts again within it is one event, also when it is handled days later."""


class Customer(NamedTuple):
    """An account and its users. `lead` posts before anybody said where they belong."""

    name: str
    users: tuple[str, ...]
    lead: str
    number: int


class Workload:
    """Makes batches of events. `posted`, and what of it is meant to be set aside."""

    def __init__(self, chance: Chance, clock: Clock) -> None:
        self._chance = chance
        self._clock = clock
        self._number = 0
        self.customers = [_customer(n) for n in range(chance.random.randint(4, 8))]
        self.posted: set[str] = set()
        self.allowed: set[str] = set()
        self.introduced: set[str] = set()
        self._repeated: list[tuple[datetime, Body]] = []
        self.pasts = 0

    def batch(self) -> list[Body]:
        """A few events, as one request."""
        customer = self._chance.one(self.customers)
        fresh = [one for one in self.customers if one.name not in self.introduced]
        if fresh and self._chance.random.random() < 0.7:
            customer = fresh[0]
            self.introduced.add(customer.name)
            return [self._use(customer.lead, None), *(self._identify(customer, user) for user in customer.users)]
        events = [self._event(customer) for _ in range(self._chance.random.randint(1, 12))]
        self._repeated = [(at, body) for at, body in self._repeated if self._clock.now() - at < _WINDOW]
        if self._repeated and self._chance.random.random() < 0.3:
            events.append(self._chance.one(self._repeated)[1])
        self._repeated.append((self._clock.now(), events[0]))
        return events

    def past(self) -> list[Body]:
        """Some weeks of a new account, imported in one request; then the wall clock takes over."""
        self.pasts += 1
        account, now = f"past{self.pasts}", self._clock.now()
        days = sorted(self._chance.random.uniform(0, _PAST_DAYS) for _ in range(self._chance.random.randint(10, 30)))
        users = [f"{account}{letter}" for letter in "xyz"]
        told = [
            self.event(account, user, type="identify", traits={"email": f"{user}@{account}.example", "role": "user"})
            for user in users
        ]
        for _ in days:
            event = self._chance.one(("used:a", "used:b", "used:c", "goal_reached"))
            told.append(self._track(account, self._chance.one(users), event))
        ends = self._track(account, users[0], HISTORY_ENDED, live=True)
        for body, day in zip(told, [0.0] * len(users) + days, strict=True):
            body["timestamp"] = (now - timedelta(days=_PAST_DAYS + 1 - day)).isoformat()
        ends["timestamp"] = now.isoformat()
        return [{**body, "history": account} for body in (*told, ends)]

    def _event(self, customer: Customer) -> Body:
        user, dice = self._chance.one(customer.users), self._chance.random.random()
        made = next((make for most, make in _MIX if dice < most), None)
        return made(self, customer, user) if made else self._use(user, customer.name)

    def _use(self, user: str, account: str | None) -> Body:
        return self._track(account, user, f"used:{self._chance.one('abcd')}")

    def _identify(self, customer: Customer, user: str) -> Body:
        traits = {"email": _address(customer, user), "name": user.title(), "role": "user"}
        return self.event(customer.name, user, type="identify", traits=traits)

    def _track(self, account: str | None, user: str, event: str, **properties: Any) -> Body:
        return self.event(account, user, type="track", event=event, properties=properties)

    def event(self, account: str | None, user: str, **rest: Any) -> Body:
        """An event with an id of its own, now or late. Without an account it belongs to its user's."""
        self._number += 1
        name = f"e{self._number}"
        self.posted.add(name)
        late = timedelta(hours=self._chance.up_to(50)) if self._chance.random.random() < 0.1 else timedelta()
        at = (self._clock.now() - late).isoformat()
        context = {} if account is None else {"context": {"groupId": account}}
        return {"messageId": name, "userId": user, "timestamp": at, **context, **rest}

    def _poison(self, _customer: Customer, user: str) -> Body:
        body = self._track(None, user, "used")
        del body["userId"]
        self.allowed.add(body["messageId"])
        return body

    def _invoice(self, customer: Customer, user: str) -> Body:
        kind = self._chance.one(("invoice_paid", "invoice_paid", "invoice_failed", "invoice_refunded"))
        return self._track(customer.name, user, kind, amount=100, invoice_id=f"i-{customer.name}")

    def _code(self, customer: Customer, user: str) -> Body:
        return self._track(customer.name, user, "referral_code_issued", referral_code=f"CODE-{customer.name.upper()}")

    def _referred(self, customer: Customer, user: str) -> Body:
        code = f"CODE-{self._chance.one(self.customers).name.upper()}"
        return self._track(customer.name, user, "referred_signup", referral_code=code, email=f"{user}@else.example")

    def _subscription(self, customer: Customer, user: str) -> Body:
        return self._track(customer.name, user, "subscription_started", mrr=self._chance.one((100, 200, 300)))


_MIX: list[tuple[float, Any]] = [
    (0.02, Workload._poison),  # noqa: SLF001  this file's own table
    (0.10, Workload._invoice),  # noqa: SLF001
    (0.14, Workload._code),  # noqa: SLF001
    (0.20, Workload._referred),  # noqa: SLF001
    (0.26, lambda workload, customer, user: workload._track(customer.name, user, "goal_reached")),  # noqa: SLF001
    (0.30, lambda workload, customer, user: workload._identify(customer, user)),  # noqa: SLF001
    (0.36, lambda workload, _customer, user: workload._use(user, None)),  # noqa: SLF001
    (0.40, Workload._subscription),  # noqa: SLF001
]


def _customer(number: int) -> Customer:
    users = tuple(f"u{number}{letter}" for letter in "wxyz"[: 2 + number % 3])
    return Customer(f"acme{number}", (*users, ROAMER) if number < _ROAMED else users, users[0], number)


def _address(customer: Customer, user: str) -> str:
    """Of some neighbours the first user is one person, who spells the address differently; others have one in each account."""
    if user != customer.users[0] or customer.number % 4 > 1:
        return f"{user}@{customer.name}.example"
    address = f"consultant@agency{customer.number // 4}.example"
    return address.upper() if customer.number % 2 else address


async def pause(chance: Chance) -> None:
    await asyncio.sleep(0.2 + chance.up_to(3))
