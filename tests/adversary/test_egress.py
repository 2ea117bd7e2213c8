"""What leaves goes where it may: no password in clear, and no call into the network that we stand in."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.adversary.product import Product, identify, running, track
from tests.conftest import embedded
from tests.make import eventually
from tests.service.notify.test_email_channel import Eavesdropper

pytestmark = pytest.mark.asyncio(loop_scope="module")
OUR_OWN = "https://[::ffff:0:127.0.0.1]/hook"
"""This machine, as SIIT writes it (RFC 2765). tests/service/notify/test_webhook_channel.py has the other spellings."""
PLAY = """
name: hook
description: Told to the product of a customer who signed up.
class: transactional
stages: [onboarding]
on: {stage: onboarding}
cooldown: never
audience: {roles: [any], max_recipients: 1}
steps:
  - {after: 0d, channel: webhook, template: welcome_hello}
"""
Overheard = tuple[Product, Eavesdropper]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def overheard(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Overheard]:
    """Mail goes to a server without STARTTLS, webhooks to this machine; somebody has signed up."""
    server = Eavesdropper("AUTH PLAIN LOGIN")
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
        variables = {
            "WAYMARK_SMTP_URL": f"smtp://kim:very-secret@127.0.0.1:{listening.sockets[0].getsockname()[1]}",
            "WAYMARK_WEBHOOK_URL": OUR_OWN,
            "WAYMARK_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        }
        changes = {"plays/hook.yaml": lambda _text: PLAY}
        settings = embedded(tmp_path_factory.mktemp("egress"))
        async with running(settings, changes, variables, live=True) as started:
            ann = identify("acme", "ann", email="ann@acme.test", name="Ann Lee", role="admin")
            await started.accepted([ann, track("acme", "ann", "Signed Up")])
            yield started, server


async def tried(product: Product, play: str) -> tuple[str, str, str]:
    """What became of the first message of this play, once it was tried: its status, reason and detail."""

    async def ended() -> bool:
        rows = await product.outbox(account="acme", play=play)
        return any(row["status"] not in {"pending", "sending"} or row["reason"] for row in rows)

    await eventually(ended)
    (row,) = [row for row in await product.outbox(account="acme", play=play) if row["channel"] != "task"]
    return row["status"], row["reason"], row["detail"]


async def test_a_mail_server_without_starttls_never_hears_the_password(overheard: Overheard) -> None:
    product, server = overheard
    status, reason, detail = await tried(product, "welcome")
    assert (status, reason) == ("pending", "try_again")
    assert "a password is never sent in clear" in detail
    notices = (await product.call("GET", "/notify/readyz", None)).json()["notices"]
    assert "STARTTLS" in notices["channel:email"]
    assert server.heard
    assert not any("AUTH" in line for line in server.heard)


async def test_no_spelling_of_an_address_of_ours_is_called(overheard: Overheard) -> None:
    product, _ = overheard
    status, _, detail = await tried(product, "hook")
    assert status == "failed"
    assert "leads to this machine: not allowed by WAYMARK_EGRESS_ALLOW" in detail
