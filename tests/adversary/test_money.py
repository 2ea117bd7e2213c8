"""Money: nobody books a reward for themselves, and what is given back is taken back, whatever comes first."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from tests.adversary.product import Event, Product, identify, running, track
from tests.conftest import Deployment
from tests.make import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(place: Deployment) -> AsyncIterator[Product]:
    async with running(place.settings) as started:
        yield started


async def advocate(product: Product, account: str, user: str, email: str, code: str) -> None:
    """A customer whose user holds a code."""
    await product.accepted([identify(account, user, email=email, name="Ada"), track(account, user, "Feature Used")])
    await product.accepted([track(account, user, "Referral Code Issued", referral_code=code)])
    await product.settle()


def signup(account: str, email: str = "", *, user: str = "", code: str = "ADACODE") -> Event:
    properties = {"referral_code": code, "email": email or f"kim@{account}.test"}
    return track(account, user or f"u-{account}", "Referred Signup", **properties)


def paid(account: str, amount: Any = 49, invoice: str = "i-1", **more: Any) -> Event:
    return track(account, f"u-{account}", "Invoice Paid", amount=amount, invoice_id=invoice, **more)


def refunded(account: str, amount: Any = 49, invoice: str = "i-1", **more: Any) -> Event:
    return track(account, f"u-{account}", "Invoice Refunded", amount=amount, invoice_id=invoice, **more)


async def referrals(product: Product, events: Sequence[Event]) -> dict[str, Any]:
    """Post these one by one: the referrals of their accounts, by account, when each has one."""
    for event in events:
        await product.accepted([event])
    await product.settle()
    wanted = {event["context"]["groupId"] for event in events}

    async def found() -> dict[str, Any]:
        rows = (await product.get("/advocacy/v1/referrals", limit=100))["items"]
        return {row["referred"]: row for row in rows if row["referred"] in wanted}

    async def all_there() -> bool:
        return (await found()).keys() == wanted

    await eventually(all_there)
    await product.settle()
    assert (await product.get("/advocacy/v1/ledger"))["sum"] == 0
    return await found()


def standing(referral: Any) -> list[tuple[str, int]]:
    """The rewards that are not reversed."""
    return [(one["side"], one["amount"]) for one in referral["rewards"] if one["status"] != "reversed"]


BOTH = [("referrer", 5000), ("referred", 2500)]
NOTHING: list[tuple[str, int]] = []


async def test_a_refund_takes_back_the_payment_it_names(product: Product) -> None:
    await advocate(product, "acme", "ada", "ada@acme.test", "ADACODE")
    events = [
        *(signup("honest"), paid("honest")),
        *(signup("two-bills"), paid("two-bills"), paid("two-bills", 500, "i-2"), refunded("two-bills", 500, "i-2")),
        *(signup("cent"), paid("cent", 1000), refunded("cent", 0.01)),
        *(signup("parts"), paid("parts", 1000), *(refunded("parts", 250) for _ in range(2))),
        *(signup("overtaken"), refunded("overtaken"), paid("overtaken")),
        *(paid("late-signup"), refunded("late-signup"), signup("late-signup")),
        *(signup("twice"), paid("twice"), paid("twice")),
    ]
    found = await referrals(product, events)
    assert {account: standing(one) for account, one in found.items()} == {
        **dict.fromkeys(["honest", "two-bills", "cent", "twice"], BOTH),
        **dict.fromkeys(["parts", "overtaken", "late-signup"], NOTHING),
    }


async def test_the_advocates_own_addresses_and_workspaces_earn_nothing(product: Product) -> None:
    await advocate(product, "acme", "ada", "ada@acme.test", "ADACODE")
    await advocate(product, "solo", "sam", "sam.doe@gmail.com", "SAMCODE")
    events = [
        *(signup("subdomain", "ada@eu.acme.test"), paid("subdomain")),
        *(signup("dots", "s.a.m.d.o.e+two@googlemail.com", code="SAMCODE"), paid("dots")),
        *(signup("shouting", "ADA@ACME.TEST"), paid("shouting")),
        *(signup("billing", "fresh@gmail.com"), paid("billing", billing_email="Ada <ada@acme.test>")),
        *(signup("payer", "fresh2@gmail.com"), paid("payer", email="books@acme.test")),
        *(signup("workspace", "fresh3@gmail.com", user="sam", code="SAMCODE"), paid("workspace")),
    ]
    found = await referrals(product, events)
    assert {one["status"] for one in found.values()} == {"refused"}
    assert all(one["reason"] and not one["rewards"] for one in found.values())


async def test_a_token_payment_pays_nothing_and_what_cannot_be_read_is_listed(product: Product) -> None:
    await advocate(product, "globex", "gil", "gil@globex.test", "GILCODE")
    events = [
        *(signup("yen", code="GILCODE"), paid("yen", 1, currency="JPY")),
        *(signup("cents", code="GILCODE"), paid("cents", 0.01)),
        *(signup("text", code="GILCODE"), paid("text", "1,299.00", currency="usd")),
        *(signup("words", code="GILCODE"), paid("words", "forty-nine")),
        *(signup("coin", code="GILCODE"), paid("coin", 49, currency="dogecoin")),
    ]
    found = await referrals(product, events)
    assert {account for account, one in found.items() if standing(one)} == {"text"}
    notes = {one["account"] for one in (await product.get("/advocacy/v1/notes"))["items"]}
    assert notes & found.keys() == {"coin", "words"}


async def test_another_currency_than_the_minimums_waits_for_a_person(deployment: Deployment) -> None:
    changes = {"referrals.yaml": lambda text: f"{text}\nminimum: {{EUR: 2000}}\n"}
    async with running(deployment.settings, changes) as product:
        await advocate(product, "acme", "ada", "ada@acme.test", "ADACODE")
        events = [
            *(signup("little"), paid("little", 19.99)),
            *(signup("dollars"), paid("dollars", 500, currency="USD")),
        ]
        found = await referrals(product, events)
        assert standing(found["little"]) == []
        assert [one["status"] for one in found["dollars"]["rewards"]] == ["pending", "pending"]
        (note,) = (await product.get("/advocacy/v1/notes"))["items"]
        assert (note["kind"], note["account"]) == ("reward_in_review", "dollars")

        reward = found["dollars"]["rewards"][0]["id"]
        answer = await product.call("POST", f"/advocacy/v1/rewards/{reward}/approve")
        assert answer.json()["status"] == "held"
