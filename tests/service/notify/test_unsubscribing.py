"""Unsubscribing: the page that every mail links to, and what its button does."""

from collections.abc import AsyncIterator

import pytest

from services.notify.persons import NewRefusal
from shared.contracts.advocacy import NeverAskRequested, OutreachRequested
from shared.contracts.outreach import ConsentChanged
from shared.contracts.topics import ADVOCACY
from tests.conftest import Deployment
from tests.service.notify.doors import Mailbox, mail_server
from tests.service.notify.make import DAY, MONDAY, Customer, Office, office


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


async def test_who_left_comes_back_by_the_same_link(here: Office, box: Mailbox) -> None:
    row = await here.welcomed()
    path = here.path(row["id"])
    assert 'href=""' in (await here.http.post(path)).text
    assert "Write to me again" in (await here.http.get(path)).text
    back = await here.http.post(path, data={"wish": "return", "scope": "everything"})
    assert "Good to have you back" in back.text
    assert "No more mail from us?" in (await here.http.get(path)).text
    await here.sends().send()
    assert len(box.mails) == 1
    told = [(one.granted, one.topic) for one in await here.told() if isinstance(one, ConsentChanged)]
    assert told == [(False, "*"), (True, "*")]
    (said,) = (await here.http.get("/v1/consents", params={"user": "ann"})).json()
    assert (said["granted"], said["source"]) == (True, "link")


async def test_one_kind_of_mail_is_stopped_and_comes_back_and_is_called_by_its_name(here: Office) -> None:
    row = await here.welcomed()
    path = here.path(row["id"])
    shown = (await here.http.get(path)).text
    assert "help with getting started" in shown
    assert "onboarding" not in shown
    assert "You get no more mail of this kind" in (await here.http.post(path, data={"scope": "topic"})).text
    assert "Send me these again" in (await here.http.get(path)).text
    await here.http.post(path, data={"wish": "return", "scope": "topic"})
    assert not (await here.state()).declined_topics


async def test_nobody_comes_back_by_one_click_or_by_looking_and_a_no_to_all_stays_one(here: Office) -> None:
    row = await here.welcomed()
    path = here.path(row["id"])
    for _ in range(2):
        await here.http.post(path, data={"List-Unsubscribe": "One-Click"})
        await here.http.get(f"{path}?wish=return&scope=everything")
        await here.http.post(path, data={"wish": "return", "scope": "topic"})
    assert (await here.state()).declined_topics == {"ann": ["*"]}


async def test_a_link_to_an_address_we_no_longer_write_to_brings_nobody_back_but_stops_mail(here: Office) -> None:
    row = await here.welcomed()
    path = here.path(row["id"])
    customer = Customer()
    customer.begin()
    moved = customer.build.contact(MONDAY + DAY, "ann", email="ann@new.test", name="Ann Lee", role="admin")
    await here.take(moved)
    assert (await here.http.post(path)).status_code == 200
    shown = await here.http.post(path, data={"wish": "return", "scope": "everything"})
    assert "an address that we no longer write to" in shown.text
    assert (await here.state()).declined_topics == {"ann": ["*"]}


async def test_a_dead_address_is_not_brought_back_by_a_button(here: Office) -> None:
    row = await here.welcomed()
    path = here.path(row["id"])
    async with here.database.transaction() as tx:
        await here.persons.suppress(tx, "ann@acme.test", None, NewRefusal("*", "bounced", "email", MONDAY))
    await here.http.post(path)
    for answer in (await here.http.get(path), await here.http.post(path, data={"wish": "return"})):
        assert "Mail to your address came back" in answer.text
        assert "Write to me again" not in answer.text
    assert (await here.state()).declined_topics == {"ann": ["*"]}


def never(account: str, user: str = "ann", number: int = 1) -> NeverAskRequested:
    """What a person said on advocacy's page."""
    return NeverAskRequested(
        id=f"never-{account}-{number}",
        account=account,
        at=MONDAY,
        decided_at=MONDAY,
        user=user,
        outreach_class="advocacy",
    )


async def test_who_told_advocacy_never_to_ask_is_asked_for_nothing_in_any_account(here: Office, box: Mailbox) -> None:
    person = {"email": "ann@consult.test"}
    for account in ("acme", "globex"):
        customer = Customer(account)
        await here.take(customer.person(**person), customer.onboarding())
    await here.time()
    await here.take(never("acme"), never("acme", number=2), topic=ADVOCACY)
    told = [one for one in await here.told() if isinstance(one, ConsentChanged)]
    assert [(one.account, one.user, one.topic, one.granted) for one in told] == [("acme", "ann", "advocacy", False)]
    for account in ("acme", "globex"):
        await here.take(asks_to_refer(account), topic=ADVOCACY)
    here.clock.move(2 * DAY)  # it would be too much for one day
    await here.time()
    for row in await here.rows(play="referral_invite"):
        assert (row["status"], row["reason"]) == ("skipped", "unsubscribed"), row["account"]
    assert len(await here.rows(play="referral_invite")) == 2
    await here.sends().send()
    assert not [mail for mail in box.mails if "Do you know somebody" in str(mail["Subject"])]


async def test_a_never_that_comes_before_the_account_does_holds_too(here: Office) -> None:
    await here.take(never("acme"), topic=ADVOCACY)
    await here.welcomed()
    await here.take(asks_to_refer("acme"), topic=ADVOCACY)
    await here.time()
    assert (await here.row(play="referral_invite"))["reason"] == "unsubscribed"


async def test_a_never_stops_what_waits_already(here: Office, box: Mailbox) -> None:
    await here.take(*Customer().begin())
    here.clock.move(2 * DAY)
    await here.take(asks_to_refer("acme"), topic=ADVOCACY)
    await here.time()
    assert (await here.row(play="referral_invite"))["status"] == "pending"
    await here.take(never("acme"), topic=ADVOCACY)
    await here.sends().send()
    after = await here.row(play="referral_invite")
    assert (after["status"], after["reason"]) == ("skipped", "unsubscribed")
    assert not [mail for mail in box.mails if "Do you know somebody" in str(mail["Subject"])]


def asks_to_refer(account: str) -> OutreachRequested:
    values = {"name": "Ann", "reward_referrer": "€50.00", "reward_referred": "€25.00"}
    return OutreachRequested(
        id=f"request-{account}",
        account=account,
        at=MONDAY,
        decided_at=MONDAY,
        user="ann",
        play="referral_invite",
        outreach_class="advocacy",
        link="https://cs.test/advocacy/c/ABC2DEF",
        values=values,
        expires_at=MONDAY + 10 * DAY,
    )


async def test_a_scanner_that_asks_for_the_head_alone_is_answered(here: Office) -> None:
    row = await here.welcomed()
    answer = await here.http.head(here.path(row["id"]))
    assert (answer.status_code, answer.text) == (200, "")
    assert not (await here.state()).declined_topics
