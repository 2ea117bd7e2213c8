"""Work that a sender chooses: dates of 1970 and 2199 cost no honest account its turn, and no account gets an age from them."""

from typing import Any

from tests.adversary.product import Product, running, track
from tests.conftest import Deployment

_ACCOUNTS = 60
_HONEST = "acme"


async def _wild(product: Product, kind: str, **envelope: Any) -> None:
    """One post: an event of 1970 and one of 2199 of each of 60 new accounts."""
    years = ("1970-01-01T00:00:07Z", "2199-01-01T00:00:00Z")
    events = [track(f"w{number}", "u", "Feature Used", at=at) for number in range(_ACCOUNTS) for at in years]
    await product.accepted(events, kind, **envelope)


async def test_two_dates_of_sixty_accounts_hold_nobody_up(deployment: Deployment) -> None:
    async with running(deployment.settings) as product:
        await _wild(product, "server", history="h1")
        await _wild(product, "browser", history="h2")
        await product.accepted([track(_HONEST, "ann", "Feature Used")], "browser")
        await product.appears(_HONEST)
        await product.settle()
        honest = await product.account(_HONEST)
        assert honest["metrics"]["tenure_days"] == 0
        for number in range(_ACCOUNTS):
            account = await product.account(f"w{number}")
            assert account["clock"] <= honest["clock"], "left behind in the future"


async def test_a_device_without_a_clock_has_no_age(deployment: Deployment) -> None:
    async with running(deployment.settings) as product:
        await product.accepted([track(_HONEST, "ann", "Feature Used")])
        times = (0, -1, "1970-01-01T00:00:07Z", "2199-01-01T00:00:00Z", "0001-01-01T00:00:00", "")
        await product.accepted([track(_HONEST, "ann", "Feature Used", at=at) for at in times])
        await product.accepted([track(f"d{n}", "u", "Feature Used", at=0) for n in range(8)])
        await product.appears("d7")
        await product.settle()
        for account_id in (_HONEST, "d0", "d7"):
            account = await product.account(account_id)
            assert (account["stage"], account["metrics"]["tenure_days"], account["flags"]) == ("onboarding", 0, [])
        assert await product.get("/ingest/v1/parked", reason="bad_time") == {"items": [], "next": None}
        counted = (await product.get("/ingest/v1/corrected-times"))["items"]
        assert sum(row["count"] for row in counted) == len(times) + 8
