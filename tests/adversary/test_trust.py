"""Claims of a browser, whose key is public: each moves nothing and is listed; the same of a server counts."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from shared.clock import SystemClock
from shared.contracts.usage import HISTORY_ENDED
from tests.adversary.product import Event, Product, group, identify, running, track
from tests.conftest import embedded, scaled

pytestmark = pytest.mark.asyncio(loop_scope="module")
KNOWN = {"mrr": 500, "seats": 20, "name": "Acme"}
SUBSCRIBED: dict[str, object] = {"subscription_id": "s1", "mrr": 500, "seats": 20}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    async with running(embedded(tmp_path_factory.mktemp("trust"))) as started:
        yield started


async def known(product: Product, account: str) -> None:
    """A customer as its vendor's server tells of it: subscribed, with an administrator."""
    root = identify(account, f"{account}-root", email=f"root@{account}.test", role="admin", name="Root")
    told = [root, group(account, f"{account}-root", **KNOWN), track(account, f"{account}-root", "Feature Used")]
    await product.accepted([*told, track(account, f"{account}-root", "Subscription Started", **SUBSCRIBED)])
    await product.settle()


async def facts(product: Product, account: str) -> dict[str, Any]:
    """What only the company may say of an account."""
    shown = await product.account(account)
    use = ("usage", "core", "active", "features", "days", "stickiness", "depth", "seat_util", "breadth", "user_days")
    metrics = {name: value for name, value in shown["metrics"].items() if not name.startswith(use)}
    history = (await product.get(f"/lifecycle/v1/accounts/{account}/history", limit=200))["items"]
    kinds = [one["kind"] for one in history if one["kind"] in {"fact_observed", "clock_advanced"}]
    rest = ("stage", "flags", "traits", "milestones")
    return {**{name: shown[name] for name in rest}, "metrics": metrics, "told": kinds, "people": people(history)}


def people(history: list[Any]) -> dict[str, Any]:
    """The contacts, by user, as they were last told."""
    told = [one for one in reversed(history) if one["kind"] == "contact_changed"]
    return {one["user"]: {name: one.get(name) for name in ("email", "role", "gone")} for one in told}


async def claims(product: Product, source: str = "browser-source") -> dict[tuple[str, str], int]:
    """How often each claim of this source was listed."""
    rows = (await product.get("/lifecycle/v1/untrusted"))["items"]
    return {(row["event"], row["property"]): row["count"] for row in rows if row["source"] == source}


async def told_by_a_browser(
    product: Product, events: Sequence[Event], account: str, **envelope: Any
) -> set[tuple[str, str]]:
    """Post them with the public key. They must move no fact of the account; the places of the new claims."""
    before, listed = await facts(product, account), await claims(product)
    await product.accepted(events, "browser", **envelope)
    await product.settle()
    assert await facts(product, account) == before
    after = await claims(product)
    return {place for place, count in after.items() if count > listed.get(place, 0)}


async def told_by_the_server(product: Product, events: Sequence[Event], account: str) -> dict[str, Any]:
    """The same with a server's key, under ids of its own; the facts that come of it."""
    await product.accepted([event | {"messageId": f"server-{event['messageId']}"} for event in events])
    await product.settle()
    return await facts(product, account)


async def test_it_ends_no_subscription(product: Product) -> None:
    await known(product, "ends")
    end = [track("ends", "ends-eve", "Subscription Cancelled", subscription_id="s1")]
    assert await told_by_a_browser(product, end, "ends") == {("subscription_ended", "")}
    assert (await told_by_the_server(product, end, "ends"))["stage"] == "churned"


async def test_it_tells_no_money_not_even_of_an_account_of_which_nobody_told(product: Product) -> None:
    await known(product, "money")
    told = [group("money", "money-eve", mrr=1, seats=1, plan="free", renewal_at="2026-12-01")]
    told += [
        track("money", "money-eve", "seats_changed", seats=1),
        track("money", "money-eve", "Subscription Upgraded", mrr=1),
    ]
    places = {("$group", name) for name in ("mrr", "seats", "plan", "renewal_at")}
    assert places | {("seats_changed", ""), ("subscription_expanded", "")} == await told_by_a_browser(
        product, told, "money"
    )
    assert (await told_by_the_server(product, told, "money"))["metrics"]["mrr"] == 1
    await product.accepted([group("fresh", "fresh-eve", mrr=1, name="Fresh")], "browser")
    await product.settle()
    assert (await product.account("fresh"))["traits"] == {"name": "Fresh"}


async def test_it_replaces_neither_the_name_of_an_account_nor_an_administrators_address_and_role(
    product: Product,
) -> None:
    await known(product, "admin")
    told = [
        identify("admin", "admin-root", email="eve@evil.test", role="member"),
        group("admin", "admin-eve", name="Evil"),
    ]
    places = {("identify", "email"), ("identify", "role"), ("$group", "name")}
    assert await told_by_a_browser(product, told, "admin") == places
    changed = await told_by_the_server(product, told, "admin")
    assert changed["people"]["admin-root"]["email"] == "eve@evil.test"
    assert changed["traits"]["name"] == "Evil"


async def test_it_removes_nobody(product: Product) -> None:
    await known(product, "removed")
    told = [track("removed", "removed-eve", "User Removed", user_id="removed-root")]
    assert await told_by_a_browser(product, told, "removed") == {("user_removed", "")}
    assert (await told_by_the_server(product, told, "removed"))["people"]["removed-root"]["gone"]


async def test_it_moves_no_known_user_into_another_account(product: Product) -> None:
    await known(product, "home")
    await known(product, "foreign")
    taken = [group("foreign", "home-root"), identify("foreign", "home-root", email="root@home.test", role="admin")]
    assert await told_by_a_browser(product, taken, "foreign") == {
        *(("group", "membership"), ("identify", "membership"))
    }
    where = {"type": "track", "event": "champion_left", "userId": "home-root", "messageId": "where"}
    await product.accepted([where])
    await product.settle()
    assert (await facts(product, "home"))["metrics"]["champions_missing"] == 1
    assert "home-root" in (await told_by_the_server(product, taken, "foreign"))["people"]


async def test_an_alias_merges_no_known_users(product: Product) -> None:
    await known(product, "merging")
    await known(product, "merged")
    alias = {"type": "alias", "userId": "merging-root", "previousId": "merged-root", "messageId": "alias"}
    assert await told_by_a_browser(product, [alias], "merging") == {("alias", "membership")}
    await product.accepted([{"type": "track", "event": "champion_left", "userId": "merged-root", "messageId": "left"}])
    await product.settle()
    assert (await facts(product, "merged"))["metrics"]["champions_missing"] == 1


async def test_a_user_it_placed_carries_no_servers_fact_into_that_account(product: Product) -> None:
    await known(product, "victim")
    await told_by_a_browser(product, [group("victim", "mallory")], "victim")
    end = {"type": "track", "event": "Subscription Cancelled", "userId": "mallory", "messageId": "own-end"}
    before = await facts(product, "victim")
    await product.accepted([{**end, "properties": {"subscription_id": "s1"}}])
    await product.settle()
    assert await facts(product, "victim") == before
    listed = await claims(product, "server-source")
    assert {("subscription_ended", ""), ("Subscription Cancelled", "account")} <= listed.keys()


async def test_it_marks_no_history_and_ends_none(product: Product) -> None:
    await known(product, "past")
    old = (SystemClock().now() - timedelta(days=500)).isoformat()
    told = [track("past", "past-eve", "Feature Used", at=old), track("past", "past-eve", HISTORY_ENDED, live=False)]
    seen = await told_by_a_browser(product, told, "past", history="import-of-eve")
    assert seen == {("Feature Used", "history"), (HISTORY_ENDED, "history"), (HISTORY_ENDED, "")}
    assert (await product.account("past"))["metrics"]["core_events_28d"] == 2  # it was told now, so it was now
    end = track("past", "past-root", HISTORY_ENDED, live=True)
    imported = [{**told[0], "history": "import"}, end]
    assert "clock_advanced" in (await told_by_the_server(product, imported, "past"))["told"]
    assert (await product.account("past"))["metrics"]["core_events_28d"] == 2


async def test_it_moves_no_clock_ahead(product: Product) -> None:
    await known(product, "ahead")
    far = track("ahead", "ahead-eve", "Feature Used", at="2199-01-01T00:00:00Z")
    assert await told_by_a_browser(product, [far], "ahead", history="x") == {("Feature Used", "history")}
    assert datetime.fromisoformat((await product.account("ahead"))["clock"]) < SystemClock().now() + timedelta(
        minutes=6
    )


async def test_it_answers_no_survey(product: Product) -> None:
    await known(product, "survey")
    told = [
        track("survey", "survey-root", name, score=score) for name, score in (("nps_answered", 9), ("csat_answered", 5))
    ]
    assert await told_by_a_browser(product, told, "survey") == {("nps_answered", ""), ("csat_answered", "")}
    assert (await product.get("/advocacy/v1/surveys/nps/answers"))["items"] == []
    assert (await told_by_the_server(product, told, "survey"))["metrics"]["nps"] == 9
    assert len((await product.get("/advocacy/v1/surveys/nps/answers"))["items"]) == 1


async def test_it_says_no_no_objective_no_ticket_and_no_invoice(product: Product) -> None:
    await known(product, "words")
    names = (
        "objective_attained",
        "ticket_opened",
        "invoice_failed",
        "champion_left",
        "cancellation_requested",
        "Meeting Held",
    )
    told = [track("words", "words-eve", name, priority="urgent", ticket_id="t", invoice_id="i") for name in names]
    assert len(await told_by_a_browser(product, told, "words")) == len(names) + 1
    metrics = (await told_by_the_server(product, told, "words"))["metrics"]
    assert (metrics["open_urgent_tickets"], metrics["unpaid_invoices"], metrics["champions_missing"]) == (1, 1, 1)


def referral(advocate: str, code: str, account: str) -> list[Event]:
    """A code, a sign-up with it, and a payment."""
    return [
        track(advocate, f"{advocate}-root", "referral_code_issued", referral_code=code),
        track(account, f"{account}-kim", "referred_signup", referral_code=code, email=f"kim@{account}.test"),
        track(account, f"{account}-kim", "invoice_paid", amount=120, currency="EUR", invoice_id=f"i-{account}"),
    ]


async def test_twelve_events_issue_no_code_and_book_no_reward(product: Product) -> None:
    await known(product, "advocate")
    twelve = [event for number in range(4) for event in referral("advocate", "EVE2EVE", f"newco{number}")]
    places = {("referral_code_issued", ""), ("referred_signup", ""), ("invoice_paid", "")}
    assert await told_by_a_browser(product, twelve, "advocate") == places
    assert (await product.get("/advocacy/v1/ledger"))["items"] == []
    await told_by_the_server(product, referral("advocate", "REAL2ME", "newco9"), "advocate")
    assert len({line["reward"] for line in (await product.get("/advocacy/v1/ledger"))["items"]}) == 2


async def test_use_told_by_a_browser_is_use(product: Product) -> None:
    told = [track("used", f"u{number}", "Feature Used", feature="reports") for number in range(3)]
    told += [track("used", "u1", "Report Shared"), track("used", "u1", "User Invited")]
    await product.accepted([*told, {**group("used", "u1", name="Used"), "messageId": "g"}], "browser")
    await product.accepted([{"type": "track", "event": "Feature Used", "userId": "u7", "messageId": "u7"}], "browser")
    await product.settle()
    shown = await product.account("used")
    assert (shown["metrics"]["active_users_28d"], shown["name"]) == (3, "Used")
    assert {"first_use", "first_value", "invited_team"} <= shown["milestones"].keys()


async def test_claims_are_counted_for_prometheus(product: Product) -> None:
    await product.accepted([track("counted", "counted-eve", "nps_answered", score=9)], "browser")
    await product.settle()
    metrics = (await product.call("GET", "/lifecycle/metrics")).text
    assert 'waymark_untrusted_claims_total{event="nps_answered",property="",source="browser-source"}' in metrics
    assert (await product.get("/lifecycle/v1/parked"))["items"] == []


@pytest.mark.servers
async def test_one_post_of_all_of_it_moves_nothing_when_scaled_out_either(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with running(scaled(request, tmp_path)) as product:
        await known(product, "acme")
        await known(product, "other")
        post = [
            track("acme", "acme-eve", "Subscription Cancelled", subscription_id="s1"),
            group("acme", "other-root", mrr=1, name="Evil"),
            identify("acme", "acme-root", email="eve@evil.test", role="member"),
            {"type": "alias", "userId": "acme-root", "previousId": "other-root", "messageId": "alias"},
            track("acme", "acme-root", "nps_answered", score=0),
            *referral("acme", "EVE2EVE", "newco"),
        ]
        seen = await told_by_a_browser(product, post, "acme", history="import-of-eve")
        assert {("subscription_ended", ""), ("$group", "mrr"), ("identify", "email"), ("group", "membership")} <= seen
        assert {("alias", "membership"), ("nps_answered", ""), ("referral_code_issued", "")} <= seen
        assert (await product.get("/advocacy/v1/ledger"))["items"] == []
