"""Going live asks first: live mode is refused with what is missing, and after the first sends the rest wait for an approval."""

import asyncio
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import select, text

from services.notify.channels.channel import ConfirmSend, Delivery, Receipt
from services.notify.effects import DeliverySender
from services.notify.handlers.delivery import DeliveryHandlers
from services.notify.tables import delivery
from shared.access.tables import access_audit
from shared.contracts.outreach import OutreachMode
from tests.conftest import Deployment
from tests.service.notify.doors import Mailbox, mail_server
from tests.service.notify.make import Customer, Office, office

HOUR = timedelta(hours=1)


class Counts:
    """A channel that counts what is past its point of no return."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, delivery: Delivery, confirm: ConfirmSend) -> Receipt:
        await confirm()
        self.sent.append(delivery.id)
        return Receipt("accepted")


def _sends(
    here: Office, mail: Counts, first_sends: int, mode: OutreachMode = "live", not_ready: str = ""
) -> DeliverySender:
    handlers = DeliveryHandlers(
        here.book, here.writer, here.accounts, here.persons, mode, {}, not_ready=not_ready, first_sends=first_sends
    )
    return DeliverySender(handlers, here.writer, {"email": mail}, here.database, here.clock)


async def test_live_mode_is_refused_with_everything_that_is_missing(deployment: Deployment) -> None:
    async with office(deployment.settings.model_copy(update={"live_despite": ""})) as here:
        asked = (await here.http.get("/v1/readiness")).json()
        assert asked["ready"] is False
        blocking = [one["name"] for one in asked["findings"] if one["blocks"]]
        refused = await here.http.put("/v1/mode", json={"mode": "live"})
        assert (refused.status_code, refused.json()["code"]) == (409, "not_ready")
        for name in blocking:
            assert name in refused.json()["detail"]
        assert {"product", "address", "public_url", "smtp_url", "mail_from"} <= {*blocking}
        assert (await here.http.get("/v1/mode")).json()["mode"] == "preview"
        assert (await here.http.put("/v1/mode", json={"mode": "preview"})).status_code == 200


async def test_a_mail_server_that_does_not_answer_is_found_before_anybody_is_written_to(deployment: Deployment) -> None:
    despite = "product,address,app_url,public_url,mail_from,examples"
    async with office(deployment.settings.model_copy(update={"live_despite": despite}), smtp=9) as here:
        refused = await here.http.put("/v1/mode", json={"mode": "live"})
        assert refused.status_code == 409
        assert "mail_server" in refused.json()["detail"]
    async with mail_server(Mailbox()) as port, office(deployment.settings, port) as here:
        assert (await here.http.put("/v1/mode", json={"mode": "live"})).status_code == 200


async def test_an_installation_that_is_live_by_its_settings_and_not_ready_sends_nothing(deployment: Deployment) -> None:
    async with office(deployment.settings) as here:
        await here.live()
        row = await _welcomed(here, Customer(), "ann@acme.com")
        mail = Counts()
        assert await _sends(here, mail, 0, not_ready="product: the product's name is 'Our Product'").send() == 0
        assert (await here.row(id=row["id"]))["status"] == "pending"
        await _sends(here, mail, 0).send()
        assert mail.sent == [row["id"]]


async def _welcomed(here: Office, customer: Customer, email: str) -> dict[str, Any]:
    """An account whose welcome mail to this address is planned."""
    await here.take(customer.person(email=email), customer.onboarding())
    await here.time()
    return await here.row(step="welcome_hello", account=customer.account)


async def test_addresses_that_are_nobodys_are_written_to_in_a_trial_that_asks_nobody(deployment: Deployment) -> None:
    async with office(deployment.settings) as here:
        await here.live()
        customer = await _welcomed(here, Customer(), "ann@acme.com")
        trial = await _welcomed(here, Customer("beta"), "Bea@Beta.TEST")
        moves = Customer("gamma")
        moved = await _welcomed(here, moves, "cas@example.org")
        await here.take(moves.person(email="cas@gamma.com"))
        mail = Counts()
        sender = _sends(here, mail, 0, not_ready="product: the product's name is 'Our Product'")
        await sender.send()
        await sender.send()
        assert mail.sent == [trial["id"]]
        assert {(await here.row(id=row["id"]))["status"] for row in (customer, moved)} == {"pending"}


async def test_a_test_mail_goes_to_whoever_asks_in_either_mode(deployment: Deployment) -> None:
    box = Mailbox()
    async with mail_server(box) as port, office(deployment.settings, port) as here:
        sent = await here.http.post("/v1/readiness/test-mail", json={"to": "me@acme.test"})
        assert sent.json()["outcome"] == "accepted"
        assert (
            await here.http.post("/v1/readiness/test-mail", json={"to": "me@acme.test\r\nBcc: x@y.zz"})
        ).status_code == 400
    (mail,) = box.mails
    assert mail["To"] == "me@acme.test"
    assert "test mail" in mail["Subject"]
    assert 'class="wordmark"' in mail.get_body(("html",)).get_content(), "it looks as customers' mails do"
    async with office(deployment.settings) as here:
        answer = await here.http.post("/v1/readiness/test-mail", json={"to": "me@acme.test"})
        assert (answer.status_code, answer.json()["code"]) == (409, "not_configured")


async def test_after_the_first_sends_the_rest_wait_until_somebody_approves(deployment: Deployment) -> None:
    async with office(deployment.settings) as here:
        await here.live()
        for name in "abcde":
            await here.welcomed(name)
        mail = Counts()
        await asyncio.gather(*(_sends(here, mail, 2).send() for _ in range(3)))
        for _ in range(3):
            await _sends(here, mail, 2).send()
        assert len(mail.sent) == 2
        waiting = [row for row in await here.rows() if row["status"] == "pending"]
        assert {row["reason"] for row in waiting} == {"approval"}
        status = await _approval(here)
        assert (status["waiting"], status["approved_at"]) == (3, None)
        approved = (await here.http.post("/v1/approval")).json()
        assert (approved["approved_by"], approved["needed"]) == ("default", False)
        for _ in range(3):
            await _sends(here, mail, 2).send()
        assert len(mail.sent) == 5
        async with here.context.access.snapshot() as read:
            acts = [row.action for row in await read.all(select(access_audit.c.action))]
        assert "sends_approved" in acts


async def test_what_waits_for_the_approval_is_asked_again_like_everything_else(deployment: Deployment) -> None:
    async with office(deployment.settings) as here:
        await here.live()
        for name in "ab":
            await here.welcomed(name)
        mail = Counts()
        await _sends(here, mail, 1).send()
        here.clock.move(6 * 24 * HOUR)
        await here.http.post("/v1/approval")
        await _sends(here, mail, 1).send()
        assert len(mail.sent) == 1
        assert {row["reason"] for row in await here.rows(status="skipped")} == {"expired"}


@pytest.mark.parametrize("limit", [0, 3])
async def test_no_approval_is_needed_below_the_number_or_without_one(deployment: Deployment, limit: int) -> None:
    async with office(deployment.settings.model_copy(update={"first_sends": limit})) as here:
        await here.live()
        for name in "abc":
            await here.welcomed(name)
        mail = Counts()
        await _sends(here, mail, limit).send()
        assert len(mail.sent) == 3
        assert (await _approval(here))["needed"] is (limit > 0)
        rows = {row["status"] for row in await here.rows()}
        assert rows == {"sent"}


@pytest.mark.parametrize(("sent", "approved"), [(50, False), (51, True)])
async def test_an_installation_that_has_sent_more_before_the_upgrade_is_approved_already(
    deployment: Deployment, sent: int, approved: bool
) -> None:
    async with office(deployment.settings) as here:
        row = await here.welcomed()
        rows = [row | {"id": f"d{number}", "status": "sent", "sent_at": here.clock.now()} for number in range(sent)]
        async with here.database.transaction() as tx:
            await tx.insert(delivery, rows)
            await tx.run(text(import_module("services.notify.migrations.versions.0007_first_sends").APPROVED_ALREADY))
        assert ((await _approval(here))["approved_by"] == "sent before") is approved


async def _approval(here: Office) -> dict[str, Any]:
    found: dict[str, Any] = (await here.http.get("/v1/approval")).json()
    return found
