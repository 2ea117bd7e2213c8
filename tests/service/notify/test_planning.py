"""Planning: every decision is written once, on both databases."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.notify.channels.channel import ConfirmSend, Delivery, Receipt
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.lifecycle import Snapshot
from shared.contracts.outreach import OutreachRecorded
from shared.contracts.topics import ADVOCACY
from tests.conftest import Deployment
from tests.service.notify.make import DAY, MONDAY, Customer, Office, office


@pytest.fixture
async def here(deployment: Deployment) -> AsyncIterator[Office]:
    async with office(deployment.settings) as made:
        yield made


def story() -> list[Any]:
    customer = Customer()
    return [
        *customer.begin(),
        customer.clock(MONDAY + 3 * DAY),
        customer.person("bob"),
        customer.clock(MONDAY + 8 * DAY),
    ]


def asked(user: str = "ann", request: str = "r1") -> OutreachRequested:
    head = {"id": request, "account": "acme", "at": MONDAY, "decided_at": MONDAY}
    return OutreachRequested(**head, user=user, play="nps_invite", outreach_class="survey", link="https://x.test/s")


async def test_a_new_account_gets_a_previewed_welcome_with_its_text(here: Office) -> None:
    row = await here.welcomed()
    assert (row["status"], row["address"], row["reason"]) == ("previewed", "ann@acme.test", "")
    assert row["subject"] == "Welcome to Our Product, Acme"
    assert "Hello Ann," in row["text"]
    assert "Kim looks after Acme" in row["text"]
    assert here.writer.unsubscribe_url(row["id"]) in row["text"]
    assert row["html"] == ""  # written when it leaves, or is looked at


async def test_the_same_batch_again_changes_nothing(here: Office) -> None:
    await here.take(*story())
    before, state = await here.rows(), await here.state()
    await here.take(*story())
    assert before
    assert (await here.rows(), await here.state()) == (before, state)


async def test_other_batches_give_the_same_rows(here: Office, deployment: Deployment, tmp_path: Any) -> None:
    await here.take(*story())
    other = deployment.settings.model_copy(
        update={"data": tmp_path / "other", "database_url": None, "bus_url": None, "secret": None}
    )
    async with office(other) as there:
        for message in story():
            await there.take(message)
        assert [_plain(row) for row in await there.rows()] == [_plain(row) for row in await here.rows()]
        assert await there.state() == await here.state()


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Without what is signed with another installation's secret."""
    return {name: value for name, value in row.items() if name not in {"text", "html"}}


async def test_what_is_not_sent_is_a_row_with_its_reason(here: Office) -> None:
    customer = Customer()
    await here.take(customer.person(unsubscribed=True), customer.onboarding())
    await here.time()
    row = await here.row(step="welcome_hello")
    assert (row["status"], row["reason"], row["text"]) == ("skipped", "unsubscribed", "")
    assert await _told(here) == [("welcome_hello", "skipped", "unsubscribed")]


async def test_every_plan_is_told_once(here: Office) -> None:
    for _ in range(2):
        await here.take(*story())
    await here.take(Customer().clock(MONDAY))
    assert await _told(here) == [
        ("welcome_hello", "previewed", None),
        ("welcome_first_use", "previewed", None),
        ("welcome_invite_team", "previewed", None),
    ]


async def _told(here: Office) -> list[tuple[str, str, str | None]]:
    return [(told.step, told.status, told.reason) for told in await here.told() if isinstance(told, OutreachRecorded)]


async def test_a_budget_that_is_spent_defers_the_next_mail(here: Office) -> None:
    await here.welcomed()
    await here.take(asked(), topic=ADVOCACY)
    await here.time()
    assert not await here.rows(play="nps_invite")
    here.clock.move(DAY)
    await here.time()
    assert (await here.row(play="nps_invite"))["status"] == "previewed"


async def test_what_was_only_shown_holds_back_nothing_that_leaves(here: Office) -> None:
    await here.welcomed()
    assert [entry.previewed for entry in (await here.state()).budget_entries] == [True]
    await here.live()
    await here.take(asked(), topic=ADVOCACY)
    await here.time()
    assert (await here.row(play="nps_invite"))["status"] == "pending"
    assert [(entry.topic, entry.previewed) for entry in (await here.state()).budget_entries] == [("nps", False)]


async def test_a_request_before_the_account_is_known_waits_for_its_person(here: Office) -> None:
    await here.take(asked(), topic=ADVOCACY)
    customer = Customer()
    await here.take(customer.person(), customer.clock(MONDAY))
    await here.time()
    assert (await here.row(play="nps_invite"))["status"] == "previewed"


async def test_every_deployment_has_one_partition_for_an_account(here: Office) -> None:
    await here.welcomed()
    assert here.partition_of("acme") < here.context.bus.partitions("lifecycle.v1")


async def test_a_task_in_preview_claims_no_mail_that_never_left(here: Office) -> None:
    await _gone_quiet(here)
    assert "was not sent: outreach is in preview" in (await here.row(step="gone_quiet_task"))["text"]


async def test_a_task_says_when_the_mail_left(deployment: Deployment) -> None:
    async with office(deployment.settings) as here:
        await here.live()
        await _gone_quiet(here)
        assert "A mail that asks why left on 23 November 2026" in (await here.row(step="gone_quiet_task"))["text"]


class _Postman:
    async def send(self, _delivery: Delivery, confirm: ConfirmSend) -> Receipt:
        await confirm()
        return Receipt("accepted")


async def _gone_quiet(here: Office) -> None:
    """Two weeks of silence, and the days behind them, in which mail leaves where it may."""
    customer = Customer()
    silent = Snapshot("retention", MONDAY, metrics={"days_since_core_use": 14.0}, traits={"name": "Acme"})
    await here.take(customer.person(), customer.build.signal(MONDAY, "gone_quiet", snapshot=silent))
    await here.time()
    await here.sends({"email": _Postman()}).send()
    here.clock.move(4 * DAY)
    await here.time()
