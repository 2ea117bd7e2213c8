"""A no is a no: over accounts and user ids, whatever comes after it; a person's budget is one, whoever writes."""

import asyncio
import re
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

import pytest
import pytest_asyncio

from tests.adversary.product import Event, Product, identify, running, track
from tests.conftest import Deployment
from tests.make import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
_LINK = re.compile(r"/notify/u/[\w.~-]+")
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(place: Deployment) -> AsyncIterator[Product]:
    async with running(place.settings, live=True) as started:
        yield started


def signs_up(account: str, user: str, address: str, **traits: Any) -> list[Event]:
    """A new account with one administrator, who is to be welcomed by mail."""
    person = identify(account, user, **{"email": address, "name": "Casey Lee", "role": "admin"} | traits)
    return [person, track(account, user, "Signed Up")]


async def welcomed(product: Product, address: str) -> EmailMessage:
    await eventually(lambda: _mailed(product, address))
    return product.mails_to(address)[0]


async def _mailed(product: Product, address: str) -> bool:
    return bool(product.mails_to(address))


async def says_no(product: Product, mail: EmailMessage) -> None:
    """As a mail program does, with one click."""
    link = _LINK.search(str(mail["List-Unsubscribe"]))
    assert link is not None
    assert (await product.call("POST", link[0], None, data=ONE_CLICK)).status_code == 200


async def decided(product: Product, account: str) -> tuple[str, str]:
    """What became of the first mail of an account's welcome, as soon as it was sent, put off or decided against."""

    async def mails() -> list[Any]:
        rows = await product.outbox(account=account, play="welcome", channel="email")
        return [row for row in rows if row["status"] not in {"pending", "sending"} or row["reason"]]

    async def found() -> bool:
        return bool(await mails())

    await eventually(found)
    row = (await mails())[-1]
    return row["status"], row["reason"]


async def silent(product: Product, account: str) -> None:
    """Its welcome was decided against, because the person had said no."""
    assert await decided(product, account) == ("skipped", "unsubscribed")


async def test_a_no_holds_in_other_accounts_under_other_ids_and_spellings(product: Product) -> None:
    address = "casey@consult.test"
    await product.accepted(signs_up("no-acme", "casey", address))
    await says_no(product, await welcomed(product, address))
    await product.accepted(
        [
            *signs_up("no-globex", "casey", address),
            *signs_up("no-initech", "casey-2", "Casey@Consult.TEST"),
            *signs_up("no-umbrella", "casey", "casey@elsewhere.test"),
            *signs_up("no-tagged", "casey-3", "Casey+trial@consult.test"),
        ]
    )
    for account in ("no-globex", "no-initech", "no-umbrella", "no-tagged"):
        await silent(product, account)
    assert len(product.mails_to(address)) == 1
    assert not product.mails_to("casey@elsewhere.test")


async def test_leaving_and_signing_up_again_brings_nobody_back(product: Product) -> None:
    address = "dana@consult.test"
    await product.accepted([identify("gone-acme", "dana", email=address, unsubscribed="yes")])
    await product.settle()
    await product.accepted([track("gone-acme", "dana", "User Removed")])
    await product.settle()
    await product.accepted(signs_up("gone-acme", "dana", address))
    await product.accepted(signs_up("gone-globex", "dana-2", address))
    await silent(product, "gone-acme")
    await silent(product, "gone-globex")
    assert not product.mails_to(address)


@pytest.mark.parametrize("kind", ["server", "browser"])
async def test_only_a_trusted_source_that_takes_a_no_back_brings_somebody_back(product: Product, kind: str) -> None:
    address = f"eve@{kind}.test"
    await product.accepted([identify(f"back-{kind}", f"eve-{kind}", email=address, unsubscribed=True)])
    await product.settle()
    await product.accepted([identify(f"back-{kind}", f"eve-{kind}", unsubscribed=False)], kind)
    await product.settle()
    await product.accepted(signs_up(f"back-2-{kind}", f"eve-2-{kind}", address))
    if kind == "server":
        await welcomed(product, address)
    else:
        await silent(product, f"back-2-{kind}")


NOES: list[dict[str, Any]] = [
    *({"unsubscribed": spelled} for spelled in ("true", "1", "yes", 1, "on", "unsubscribed", "opted out", "perhaps")),
    *({name: True} for name in ("emailOptOut", "has_opted_out_of_email", "Do Not Email", "$unsubscribed")),
    *({name: "no"} for name in ("marketing_opt_in", "emailSubscribed")),
    {"email_marketing_consent": {"state": "unsubscribed"}},
    {"consent": {"email": False}},
    {"unsubscribed_at": "2026-01-01"},
    {"status": "cleaned"},
    {"consents": [{"channel": "email", "granted": False}]},
]
YES = {"unsubscribed": "false"}
NO_YES: list[dict[str, Any]] = [{"unsubscribed": spelled} for spelled in (None, "", [], "maybe")]


async def test_every_spelling_of_a_no_is_a_no_and_only_a_clear_yes_takes_it_back(product: Product) -> None:
    async def say(number: int, traits: dict[str, Any]) -> None:
        address = f"spelled-{number}@consult.test"
        await product.accepted([identify(f"spelled-{number}", f"spelled-{number}", email=address, **traits)])

    for number, no in enumerate([*NOES, *([NOES[0]] * (len(NO_YES) + 1))]):
        await say(number, no)
    await product.settle()
    for number, no_yes in enumerate([*NO_YES, YES], len(NOES)):
        await say(number, no_yes)
    await product.settle()
    last = len(NOES) + len(NO_YES)
    for number in range(last + 1):
        await product.accepted(signs_up(f"spelled-again-{number}", f"again-{number}", f"spelled-{number}@consult.test"))
    await welcomed(product, f"spelled-{last}@consult.test")
    for number in range(last):
        await silent(product, f"spelled-again-{number}")


TOLD_BY_THE_WAY: list[tuple[Event, str]] = [
    ({"type": "track", "event": "Report Shared", "context": {"traits": {"unsubscribed": "true"}}}, "unsubscribed"),
    ({"type": "page", "name": "Home", "context": {"traits": {"hs_email_optout": True}}}, "unsubscribed"),
    ({"type": "group", "context": {"traits": {"email_opt_in": False}}}, "unsubscribed"),
    ({"type": "track", "event": "Used", "context": {"consent": {"categoryPreferences": {"Marketing": False}}}}, "unsubscribed"),
    ({"type": "track", "event": "Unsubscribed"}, "unsubscribed"),
    ({"type": "track", "event": "email_preferences_updated", "properties": {"marketing": {"email": False}, "unsubscribed": 1}}, "unsubscribed"),
    ({"type": "track", "event": "Email Bounced"}, "bounced"),
    ({"type": "track", "event": "Email Marked as Spam"}, "complained"),
]  # fmt: skip


async def test_a_no_that_comes_along_with_something_else_and_a_report_of_a_mail_tool_stop_the_mail(
    product: Product,
) -> None:
    """By a browser as by a server, but for a bounce and a complaint."""

    async def decided_again(number: int, kind: str) -> tuple[str, str]:
        return await decided(product, f"told-again-{number}-{kind}")

    for number, (call, _) in enumerate(TOLD_BY_THE_WAY):
        for kind in ("server", "browser"):
            name = f"told-{number}-{kind}"
            await product.accepted([identify(name, name, email=f"{name}@consult.test")])
            context = {"groupId": name, **call.get("context", {})}
            await product.accepted([{**call, "userId": name, "groupId": name, "context": context}], kind)
    await product.settle()
    for number in range(len(TOLD_BY_THE_WAY)):
        for kind in ("server", "browser"):
            address = f"TOLD-{number}-{kind}@consult.test"
            await product.accepted(signs_up(f"told-again-{number}-{kind}", f"again-{number}-{kind}", address))
    for number, (_, reason) in enumerate(TOLD_BY_THE_WAY):
        assert await decided_again(number, "server") == ("skipped", reason)
        if reason != "bounced":
            assert await decided_again(number, "browser") == ("skipped", "unsubscribed")
    await welcomed(product, f"told-{[reason for _, reason in TOLD_BY_THE_WAY].index('bounced')}-browser@consult.test")


async def test_two_thousand_contacts_later_a_no_is_still_a_no(product: Product) -> None:
    address = "first@crowd.test"
    await product.accepted([identify("crowd", "first", email=address, unsubscribed=True)])
    await product.settle()
    others = [identify("crowd", f"u{number}", email=f"u{number}@crowd.test") for number in range(2_001)]
    for start in range(0, len(others), 500):
        await product.accepted(others[start : start + 500])
    await product.settle()
    await product.accepted(signs_up("crowd-2", "first-2", address))
    await silent(product, "crowd-2")
    await product.accepted(
        [identify("crowd", "first", email=address, role="admin"), *signs_up("crowd-3", "first", address)]
    )
    await silent(product, "crowd-3")
    assert not product.mails_to(address)


async def test_one_person_in_three_accounts_gets_one_mail_a_day(product: Product) -> None:
    address = "robin@consult.test"
    for number in range(3):
        await product.accepted(signs_up(f"day-{number}", f"robin-{number}", address))
    await welcomed(product, address)

    async def others_wait() -> bool:
        rows = [row for n in range(3) for row in await product.outbox(account=f"day-{n}", play="welcome")]
        return [row["detail"] for row in rows if row["reason"] == "budget"] == ["one a day"] * 2

    await eventually(others_wait)
    assert len(product.mails_to(address)) == 1


async def test_an_address_that_only_a_public_key_told_gets_no_mail(product: Product) -> None:
    await product.accepted(signs_up("stranger", "mallory", "victim@else.test"), "browser")
    await product.accepted([track("stranger", "mallory", "Signed Up")])
    assert await decided(product, "stranger") == ("skipped", "unverified")
    assert not product.mails_to("victim@else.test")


async def test_a_no_recorded_by_the_company_and_its_yes_hold_everywhere(product: Product) -> None:
    address = "sam@consult.test"
    await product.accepted([identify("rest-acme", "sam", email=address, name="Sam Lee")])
    await product.settle()
    wanted = {"account": "rest-acme", "user": "sam", "granted": False}
    assert (await product.call("PUT", "/notify/v1/consents", json=wanted)).status_code == 200
    await product.accepted(signs_up("rest-globex", "sam-2", address))
    await silent(product, "rest-globex")
    assert (await product.call("PUT", "/notify/v1/consents", json=wanted | {"granted": True})).status_code == 200
    await product.accepted(signs_up("rest-initech", "sam-3", address))
    await welcomed(product, address)


async def test_a_no_to_one_kind_of_mail_holds_everywhere_and_for_that_kind_alone(product: Product) -> None:
    for name, topic in (("kind", "onboarding"), ("other", "expansion")):
        address = f"{name}@consult.test"
        await product.accepted([identify(f"{name}-acme", name, email=address, name="Sam Lee")])
        await product.settle()
        wanted = {"account": f"{name}-acme", "user": name, "topic": topic, "granted": False}
        assert (await product.call("PUT", "/notify/v1/consents", json=wanted)).status_code == 200
        await product.accepted(signs_up(f"{name}-globex", f"{name}-2", address))
    await silent(product, "kind-globex")
    await welcomed(product, "other@consult.test")


async def test_who_comes_back_by_our_link_is_back_until_they_say_no_anew_in_the_same_words(product: Product) -> None:
    address = "pat@consult.test"
    await product.accepted(signs_up("link-acme", "pat", address))
    link = _LINK.search(str((await welcomed(product, address))["List-Unsubscribe"]))
    assert link is not None
    await product.accepted([identify("link-acme", "pat", unsubscribed=True)])
    await product.settle()
    back = {"wish": "return", "scope": "everything"}
    assert "Good to have you back" in (await product.call("POST", link[0], None, data=back)).text
    await product.settle()
    await product.accepted([identify("link-acme", "pat", role="owner"), *signs_up("link-globex", "pat-2", address)])
    assert await decided(product, "link-globex") == ("pending", "budget")  # one mail a day, and no refusal
    await product.accepted([identify("link-acme", "pat", unsubscribed=True)])
    await product.settle()
    await product.accepted(signs_up("link-initech", "pat-3", address))
    await silent(product, "link-initech")


async def test_a_no_in_the_middle_of_the_conversation_stops_the_mail(product: Product) -> None:
    address = "mid@consult.test"

    async def refuse(recipient: str) -> None:
        if recipient == address:
            no = {"account": "mid", "user": "mid", "granted": False}
            assert (await product.call("PUT", "/notify/v1/consents", json=no)).status_code == 200

    product.mailbox.at_rcpt = refuse
    await product.accepted(signs_up("mid", "mid", address))
    await silent(product, "mid")
    assert not product.mails_to(address)


async def test_a_no_while_other_accounts_write_stops_what_has_not_left(product: Product) -> None:
    address = "kim@consult.test"
    await product.accepted(signs_up("fly-0", "kim-0", address))
    mail = await welcomed(product, address)
    posts = [product.accepted(signs_up(f"fly-{number}", f"kim-{number}", address)) for number in range(1, 6)]
    await asyncio.gather(*posts, says_no(product, mail))
    for number in range(1, 6):
        rows = await _settled(product, f"fly-{number}")
        assert {row["reason"] for row in rows} <= {"unsubscribed", "budget"}
    assert len(product.mails_to(address)) == 1


async def _settled(product: Product, account: str) -> list[Any]:
    async def planned() -> bool:
        return bool(await product.outbox(account=account, play="welcome"))

    await eventually(planned)
    return await product.outbox(account=account, play="welcome")
