"""Unsubscribing: the page that every mail links to, and what its button does."""

from collections.abc import AsyncIterator

import pytest

from shared.contracts.outreach import ConsentChanged
from tests.conftest import Deployment
from tests.service.notify.doors import Mailbox, mail_server
from tests.service.notify.make import DAY, Office, office


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def here(deployment: Deployment, box: Mailbox) -> AsyncIterator[Office]:
    async with mail_server(box) as port, office(deployment.settings, port) as made:
        await made.live()
        yield made


async def test_one_click_stops_what_already_waits(here: Office, box: Mailbox) -> None:
    row = await here.welcomed()
    answer = await here.http.post(here.path(row["id"]), data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    await here.sends().send()
    assert not box.mails
    after = await here.row(id=row["id"])
    assert (after["status"], after["reason"]) == ("skipped", "unsubscribed")


async def test_one_click_stops_what_comes_later(here: Office, box: Mailbox) -> None:
    row = await here.welcomed()
    await here.sends().send()
    await here.http.post(here.path(row["id"]))
    here.clock.move(2 * DAY)
    await here.time()
    await here.sends().send()
    assert len(box.mails) == 1
    assert (await here.row(step="welcome_first_use"))["reason"] == "unsubscribed"


async def test_following_the_link_changes_nothing(here: Office) -> None:
    row = await here.welcomed()
    answer = await here.http.get(here.path(row["id"]))
    assert answer.status_code == 200
    assert "Nothing happens until you press" in answer.text
    assert "script" not in answer.headers["content-security-policy"]
    assert not (await here.state()).declined_topics


@pytest.mark.parametrize("appended", ["utm_source=mail", "mc_eid=7&fbclid=x"])
async def test_what_a_mail_program_appends_to_the_link_keeps_nobody_from_leaving(here: Office, appended: str) -> None:
    row = await here.welcomed()
    link = f"{here.path(row['id'])}?{appended}"
    assert (await here.http.get(link)).status_code == 200
    assert (await here.http.post(link, data={"List-Unsubscribe": "One-Click"})).status_code == 200
    assert (await here.state()).declined_topics == {"ann": ["*"]}


async def test_pressing_twice_says_it_once(here: Office) -> None:
    row = await here.welcomed()
    for _ in range(2):
        assert (await here.http.post(here.path(row["id"]))).status_code == 200
    (told,) = [message for message in await here.told() if isinstance(message, ConsentChanged)]
    assert (told.user, told.topic, told.granted) == ("ann", "*", False)
    assert (await here.state()).declined_topics == {"ann": ["*"]}
    (said,) = (await here.http.get("/v1/consents", params={"user": "ann"})).json()
    assert (said["topic"], said["granted"], said["source"]) == ("*", False, "link")


async def test_only_mail_of_this_kind(here: Office) -> None:
    row = await here.welcomed()
    await here.http.post(here.path(row["id"]), data={"scope": "topic"})
    assert (await here.state()).declined_topics == {"ann": [row["topic"]]}


@pytest.mark.parametrize("token", ["nonsense", "v1.a.b.c", "%00", "x" * 3000])
async def test_a_link_that_is_not_ours_gets_a_friendly_page(here: Office, token: str) -> None:
    for answer in (await here.http.get(f"/u/{token}"), await here.http.post(f"/u/{token}")):
        assert answer.status_code == 404
        assert "We do not know this link" in answer.text


async def test_a_link_of_another_purpose_is_not_ours(here: Office) -> None:
    row = await here.welcomed()
    token = here.links.sign("survey", {"delivery": row["id"]})
    assert (await here.http.post(f"/u/{token}")).status_code == 404
