"""An outage of the mail server loses nothing: what is due waits and leaves afterwards, if it is still true; failures are redriven."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from services.notify.channels.channel import ConfirmSend, Delivery, Receipt
from services.notify.tables import delivery
from tests.conftest import Deployment
from tests.service.notify.make import DAY, Customer, Office, office

HOUR = timedelta(hours=1)
DOWN = Receipt("retry", "Connection refused", nobody=True)


class Server:
    """A mail server that can be down; `tried` are the attempts, `took` what it accepted."""

    def __init__(self) -> None:
        self.answer: Receipt | None = None
        self.tried: list[str] = []
        self.took: list[str] = []

    async def send(self, delivery: Delivery, confirm: ConfirmSend) -> Receipt:
        self.tried.append(delivery.id)
        if self.answer is not None:
            return self.answer
        await confirm()
        self.took.append(delivery.id)
        return Receipt("accepted")


@pytest.fixture
async def here(deployment: Deployment) -> AsyncIterator[Office]:
    async with office(deployment.settings) as made:
        await made.live()
        yield made


async def _pass(here: Office, sends: Any, until: timedelta, step: timedelta = 10 * timedelta(minutes=1)) -> None:
    end = here.clock.now() + until
    while here.clock.now() < end:
        await sends.send()
        here.clock.move(step)


async def test_after_days_without_a_mail_server_everything_that_is_still_true_leaves(here: Office) -> None:
    rows = [await here.welcomed(name) for name in "abcdef"]
    server = Server()
    server.answer = DOWN
    sends = here.sends({"email": server})
    await sends.send()
    await sends.send()
    assert len(server.tried) == 4, "the outage is the server's: the others are not used up in trying"
    await _pass(here, sends, timedelta(hours=30))
    assert not server.took
    assert {row["status"] for row in await here.rows()} == {"pending"}
    assert "does not answer since" in sends.problems["channel:email"]
    server.answer = None
    await _pass(here, sends, timedelta(minutes=20), timedelta(minutes=2))
    assert sorted(server.took) == sorted(row["id"] for row in rows)
    assert not sends.problems


async def test_what_has_passed_its_reason_meanwhile_is_left_out_and_says_so(here: Office) -> None:
    for name in "abc":
        await here.welcomed(name)
    server = Server()
    server.answer = DOWN
    sends = here.sends({"email": server})
    await _pass(here, sends, 2 * HOUR)
    gone = Customer("a")
    gone.build.seq = 2
    await here.take(gone.build.milestone(here.clock.now(), "first_value"))
    await _pass(here, sends, 6 * DAY, HOUR)
    server.answer = None
    await _pass(here, sends, HOUR)
    assert not server.took
    left = {(row["account"], row["reason"]) for row in await here.rows(status="skipped")}
    assert left == {("a", "stopped"), ("b", "expired"), ("c", "expired")}
    (expired, _) = list(await here.rows(reason="expired"))
    assert "attempts: Connection refused" in expired["detail"]


async def test_an_outage_of_one_channel_keeps_no_other_one_waiting(here: Office) -> None:
    for name in "abcdef":
        await here.welcomed(name)
    hooked = (await here.row(account="f"))["id"]
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).where(delivery.c.id == hooked).values(channel="webhook"))
    server, hook = Server(), Server()
    server.answer = DOWN
    sends = here.sends({"email": server, "webhook": hook})
    await _pass(here, sends, timedelta(minutes=3), timedelta(minutes=1))
    assert hook.took == [hooked]


async def _failed(here: Office, name: str, answer: Receipt) -> str:
    row = await here.welcomed(name)
    server = Server()
    server.answer = answer
    await here.sends({"email": server}).send()
    assert (await here.row(id=row["id"]))["status"] == "failed"
    return str(row["id"])


async def test_what_failed_is_sent_again_when_somebody_says_so_and_is_asked_again(here: Office) -> None:
    true, passed = [await _failed(here, name, Receipt("refused", "554 relay denied")) for name in "ab"]
    dead = await _failed(here, "c", Receipt("bounced", "550 no such person"))
    gone = Customer("b")
    gone.build.seq = 2
    await here.take(gone.build.milestone(here.clock.now(), "first_value"))
    assert (await here.http.post("/v1/outbox/redrive", json={"channel": "email"})).json() == {
        "redriven": 2,
        "expired": 0,
    }
    server = Server()
    await here.sends({"email": server}).send()
    assert server.took == [true]
    rows = {row["id"]: (row["status"], row["reason"]) for row in await here.rows(step="welcome_hello")}
    assert rows == {true: ("sent", ""), passed: ("skipped", "stopped"), dead: ("failed", "bounced")}


async def test_one_delivery_is_redriven_and_what_cannot_be_says_why(here: Office) -> None:
    one, late = [await _failed(here, name, Receipt("refused", "554 relay denied")) for name in "ab"]
    redriven = await here.http.post(f"/v1/outbox/{one}/redrive")
    assert (redriven.json()["status"], redriven.json()["reason"]) == ("pending", "redriven")
    again = await here.http.post(f"/v1/outbox/{one}/redrive")
    assert (again.status_code, again.json()["code"]) == (409, "not_failed")
    here.clock.move(30 * DAY)
    assert (await here.http.post(f"/v1/outbox/{late}/redrive")).json()["code"] == "expired"
    assert (await here.http.post("/v1/outbox/redrive", json={})).json() == {"redriven": 0, "expired": 1}
    assert (await here.http.post("/v1/outbox/redrive", json={"play": "nonsense"})).status_code == 400
    assert (await here.http.post("/v1/outbox/none/redrive")).status_code == 404


async def test_what_may_have_arrived_is_never_sent_again(here: Office) -> None:
    row = await here.welcomed()
    doubt = Server()
    doubt.answer = Receipt("uncertain", "the conversation broke off")
    await here.sends({"email": doubt}).send()
    assert (await here.row(id=row["id"]))["status"] == "unknown"
    answer = await here.http.post(f"/v1/outbox/{row['id']}/redrive")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_doubt")
    assert (await here.http.post("/v1/outbox/redrive", json={})).json() == {"redriven": 0, "expired": 0}
