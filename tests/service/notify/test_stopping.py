"""Stopping: a delivery not yet confirmed is given back at once, a confirmed one is finished or in doubt, never sent twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from services.notify.channels.channel import ConfirmSend, Delivery, Receipt
from services.notify.effects import DeliverySender
from tests.conftest import Deployment
from tests.make import eventually
from tests.service.notify.doors import silent_server
from tests.service.notify.make import Office, office


class Talking:
    """A channel whose other side says nothing before or after the point of no return, until the test lets it."""

    def __init__(self, *, confirms: bool) -> None:
        self.confirms = confirms
        self.reached = asyncio.Event()
        self.may = asyncio.Event()

    async def send(self, _delivery: Delivery, before: ConfirmSend) -> Receipt:
        if self.confirms:
            await before()
        self.reached.set()
        await self.may.wait()
        return Receipt("accepted")


@pytest.fixture
async def here(deployment: Deployment) -> AsyncIterator[Office]:
    async with silent_server() as port, office(deployment.settings, port) as made:
        await made.live()
        yield made


async def stopped(sends: DeliverySender, when: Callable[[], bool]) -> None:
    """Begin to send, and stop when it is so."""

    async def reached() -> bool:
        return when()

    sending = asyncio.create_task(sends.send())
    await eventually(reached)
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    assert sending.cancelled()


async def test_what_nobody_was_told_is_as_if_never_claimed(here: Office) -> None:
    row, silence = await here.welcomed(), Talking(confirms=False)
    await stopped(here.sends({"email": silence}), silence.reached.is_set)
    after = await here.row(id=row["id"])
    assert (after["status"], after["attempt"], after["lease_until"]) == ("pending", 0, None)
    answering = Talking(confirms=True)
    answering.may.set()
    assert await here.sends({"email": answering}).send() == 1
    assert (await here.row(id=row["id"]))["status"] == "sent"


async def test_a_mail_server_that_says_nothing_does_not_hold_up_the_stop(here: Office) -> None:
    row = await here.welcomed()

    async def claimed() -> bool:
        return (await here.row(id=row["id"]))["status"] == "sending"

    sending = asyncio.create_task(here.sends().send())
    await eventually(claimed)
    sending.cancel()
    done, _ = await asyncio.wait({sending}, timeout=20)  # less than the 30 s that a mail server may take
    assert done
    assert (await here.row(id=row["id"]))["status"] == "pending"


async def test_a_confirmed_conversation_may_be_finished(here: Office) -> None:
    row, talk = await here.welcomed(), Talking(confirms=True)
    sending = asyncio.create_task(here.sends({"email": talk}).send())
    await talk.reached.wait()
    sending.cancel()
    await asyncio.sleep(0)
    talk.may.set()
    with suppress(asyncio.CancelledError):
        await sending
    after = await here.row(id=row["id"])
    assert (after["status"], after["attempt"]) == ("sent", 1)


async def test_a_confirmed_conversation_that_nobody_hears_is_in_doubt_at_once_and_not_repeated(here: Office) -> None:
    row, talk = await here.welcomed(), Talking(confirms=True)
    await stopped(here.sends({"email": talk}, patience=0.1), talk.reached.is_set)
    after = await here.row(id=row["id"])
    assert (after["status"], after["stage"], after["lease_until"]) == ("sending", "data_sent", here.clock.now())
    await here.sends({"email": talk}).send()
    assert (await here.row(id=row["id"]))["status"] == "unknown"
