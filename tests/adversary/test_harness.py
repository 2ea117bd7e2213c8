"""The product as the suite runs it: every kind of key does its part, and mail really leaves."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.adversary.product import Product, identify, running, track
from tests.conftest import Deployment
from tests.make import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(place: Deployment) -> AsyncIterator[Product]:
    async with running(place.settings, live=True) as started:
        yield started


async def test_an_honest_account_is_welcomed_by_mail(product: Product) -> None:
    ann = identify("acme", "ann", email="ann@acme.test", name="Ann Lee", role="admin")
    await product.accepted([ann, track("acme", "ann", "Signed Up")])
    await product.settle()

    async def welcomed() -> bool:
        return bool(product.mails_to("ann@acme.test"))

    async def noted() -> bool:
        return [row["status"] for row in await product.outbox(account="acme", play="welcome")][:1] == ["sent"]

    await eventually(welcomed)
    await eventually(noted)
    assert (await product.account("acme"))["stage"] == "onboarding"


async def test_keys_that_read_post_nothing(product: Product) -> None:
    for kind in ("browser", "server", "import"):
        await product.accepted([track(f"of-{kind}", "u", "Feature Used")], kind)
        await product.appears(f"of-{kind}")
    assert [(await product.post([], kind)).status_code for kind in ("read", "admin")] == [401, 401]
