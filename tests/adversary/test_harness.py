"""The product as the suite runs it: every kind of key does its part, and mail really leaves."""

from tests.adversary.product import identify, running, track
from tests.conftest import Deployment
from tests.make import eventually


async def test_an_honest_account_is_welcomed_by_mail(deployment: Deployment) -> None:
    async with running(deployment.settings, live=True) as product:
        ann = identify("acme", "ann", email="ann@acme.test", name="Ann Lee", role="admin")
        await product.accepted([ann, track("acme", "ann", "Signed Up")])
        await product.settle()

        async def welcomed() -> bool:
            return bool(product.mails_to("ann@acme.test"))

        await eventually(welcomed)
        assert (await product.account("acme"))["stage"] == "onboarding"
        assert [row["status"] for row in await product.outbox(account="acme", play="welcome")][:1] == ["sent"]


async def test_keys_that_read_post_nothing(deployment: Deployment) -> None:
    async with running(deployment.settings) as product:
        for kind in ("browser", "server", "import"):
            await product.accepted([track(f"of-{kind}", "u", "Feature Used")], kind)
            await product.appears(f"of-{kind}")
        assert [(await product.post([], kind)).status_code for kind in ("read", "admin")] == [401, 401]
