"""Referrals over HTTP: requests to refer others, codes, attribution, and rewards in the ledger."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from services.advocacy.core.asks import derive_code
from services.advocacy.tables import code, invitation, ledger_entry, note, referral, reward
from shared.bus.tables import dead_letter
from shared.contracts.advocacy import AdvocateOptedIn, OutreachRequested, ReferralConverted, RewardBooked
from shared.keys import credentials
from tests.conftest import Deployment
from tests.core.advocacy.make import Story, candidate, day
from tests.make import eventually
from tests.service.advocacy.make import RunningAdvocacy, running_advocacy


@pytest.fixture
async def advocacy(deployment: Deployment) -> AsyncIterator[RunningAdvocacy]:
    async with running_advocacy(deployment.settings, at=201) as running:
        yield running


async def shared(advocacy: RunningAdvocacy, story: Story | None = None) -> str:
    """The link in the mail in which Ann is asked."""
    await advocacy.publish_stories(story or candidate())
    return await shared_already(advocacy)


async def shared_already(advocacy: RunningAdvocacy) -> str:
    return str(asks(await advocacy.published(OutreachRequested))[-1].link)


async def asked(advocacy: RunningAdvocacy) -> str:
    """The link to Ann's own page, which is mailed to her when she asks for it."""
    return await own_page(advocacy, await shared(advocacy))


async def own_page(advocacy: RunningAdvocacy, public: str) -> str:
    await advocacy.post(f"{public}/page")
    return next(str(one.link) for one in await advocacy.published(OutreachRequested) if one.play == "referral_page")


async def advocate(advocacy: RunningAdvocacy) -> str:
    """Ann's code."""
    await advocacy.post(await asked(advocacy), choice="accept")
    (told,) = await advocacy.published(AdvocateOptedIn)
    return str(told.code)


def signup(used: str, account: str = "newco", email: str = "", at: float = 205) -> Story:
    return (
        Story(account)
        .stage(at - 1, "onboarding")
        .fact(at, "referred_signup", "kim", referral_code=used, email=email or f"kim@{account}.example")
    )


def asks(requests: list[OutreachRequested]) -> list[OutreachRequested]:
    return [one for one in requests if one.play == "referral_invite"]


async def booked(advocacy: RunningAdvocacy) -> list[tuple[str, str]]:
    return sorted((row.side, row.account_id) for row in await advocacy.rows(reward))


async def test_a_healthy_promoter_is_asked_once_in_ninety_days(advocacy: RunningAdvocacy) -> None:
    story = candidate().signal(201, "advocate_candidate").signal(280, "advocate_candidate")
    await advocacy.publish_stories(story.fact(281, "nps_answered", "ann", score=10.0))
    assert len(asks(await advocacy.published(OutreachRequested))) == 1
    await advocacy.publish_stories(story.signal(291, "advocate_candidate"))
    assert [one.at for one in asks(await advocacy.published(OutreachRequested))] == [day(200), day(290)]


async def test_opting_in_gives_a_code_once_and_looking_gives_none(advocacy: RunningAdvocacy) -> None:
    link = await asked(advocacy)
    page = await advocacy.get(link)
    assert "Would you recommend us to somebody?" in page.text
    assert "€50.00" in page.text
    assert await advocacy.services.pages("/advocacy/v1/advocates") == []
    first = await advocacy.post(link, choice="accept")
    again = await advocacy.post(link, choice="accept")
    (row,) = await advocacy.rows(code)
    (told,) = await advocacy.published(AdvocateOptedIn)
    assert (row.code, row.account_id, row.user_id) == (told.code, "acme", "ann")
    assert row.code in first.text
    assert f"{advocacy.services.url}/advocacy/c/{row.code}" in again.text
    (shown,) = await advocacy.services.pages("/advocacy/v1/advocates")
    assert (shown["code"], shown["referrals"]) == (row.code, {})
    assert await advocacy.services.get("/advocacy/v1/asks") == {"accepted": 1}


async def test_who_got_a_code_from_an_earlier_tool_after_we_asked_keeps_that_one(advocacy: RunningAdvocacy) -> None:
    story = candidate()
    link = await asked(advocacy)
    story.messages.clear()
    await advocacy.publish_stories(story.fact(200.5, "referral_code_issued", "ann", referral_code="OLD2345"))
    page = await advocacy.post(link, choice="accept")
    assert (page.status_code, "OLD2345" in page.text) == (200, True)
    held = await advocacy.services.pages("/advocacy/v1/advocates")
    assert [each["code"] for each in held] == ["OLD2345"]


async def test_a_code_that_somebody_else_holds_stays_theirs_and_is_named(advocacy: RunningAdvocacy) -> None:
    for account in ("early", "late"):
        await advocacy.publish_stories(
            Story(account).stage(200, "adoption").fact(201, "referral_code_issued", "kim", referral_code="SAME")
        )
    assert [(row.code, row.account_id) for row in await advocacy.rows(code)] == [("SAME", "early")]
    taken = [row for row in await advocacy.rows(note) if row.kind == "code_taken"]
    assert [(row.account_id, row.about) for row in taken] == [("late", "SAME")]
    assert await advocacy.rows(dead_letter) == []


async def test_declining_rests_for_a_hundred_and_eighty_days(advocacy: RunningAdvocacy) -> None:
    link = await asked(advocacy)
    assert "no hard feelings" in (await advocacy.post(link, choice="decline")).text
    assert "no hard feelings" in (await advocacy.get(link)).text
    (row,) = [row for row in await advocacy.rows(invitation) if row.purpose == "referral"]
    assert row.ask_status == "declined"
    later = candidate()
    later.messages.clear()
    later.fact(379, "nps_answered", "ann", score=10.0).signal(380, "advocate_candidate")
    await advocacy.publish_stories(later)
    assert len(asks(await advocacy.published(OutreachRequested))) == 1
    await advocacy.publish_stories(later.signal(382, "advocate_candidate"))
    assert [one.at for one in asks(await advocacy.published(OutreachRequested))] == [day(200), day(381)]


async def test_a_choice_that_is_none_asks_again_and_links_live_as_long_as_the_programme(
    advocacy: RunningAdvocacy,
) -> None:
    public, link = await shared(advocacy), await asked(advocacy)
    assert (await advocacy.post(link, choice="maybe")).status_code == 422
    advocacy.clock.time = day(1200)
    assert (await advocacy.get(public)).status_code == 200
    assert (await advocacy.get(link)).status_code == 200
    assert (await advocacy.post(link, choice="accept")).status_code == 200


async def test_a_stranger_with_the_link_of_the_mail_learns_nothing_and_can_decide_nothing(
    advocacy: RunningAdvocacy,
) -> None:
    public = await shared(advocacy)
    page = await advocacy.get(public)
    assert page.status_code == 200
    assert "€25.00" in page.text
    assert "You told us" not in page.text
    assert "decline" not in page.text
    token = public.rpartition("/")[2]
    assert (await advocacy.get(f"{advocacy.services.url}/advocacy/r/{token}")).status_code == 404
    for choice in ("accept", "decline", "never"):
        await advocacy.post(public, choice=choice)
    assert await advocacy.services.get("/advocacy/v1/asks") == {"open": 1}
    asked_for = await advocacy.post(f"{public}/page")
    assert "/advocacy/r/" not in asked_for.text


async def test_with_notify_the_mail_gives_nothing_away_and_a_never_holds_for_every_play_that_asks(
    deployment: Deployment,
) -> None:
    async with running_advocacy(deployment.settings, at=201, names=("advocacy", "notify")) as advocacy:
        await advocacy.publish_stories(candidate())

        async def planned() -> bool:
            return bool(await advocacy.services.pages("/notify/v1/outbox", play="referral_invite"))

        await eventually(planned)
        (row,) = await advocacy.services.pages("/notify/v1/outbox", play="referral_invite")
        mail = await advocacy.services.get(f"/notify/v1/outbox/{row['id']}")
        ours = re.findall(rf"{advocacy.services.url}(/[a-z]+/[a-z]/)", mail["text"] + (mail["html"] or ""))
        assert set(ours) == {"/advocacy/c/", "/notify/u/"}, "but for the way out, every address is one for anybody"
        page = await advocacy.post(await own_page(advocacy, await shared_already(advocacy)), choice="never")
        assert "We will not ask you to recommend us again" in page.text

        async def refused() -> bool:
            consents = await advocacy.services.get("/notify/v1/consents", user="ann")
            return [(one["topic"], one["granted"]) for one in consents] == [("advocacy", False)]

        await eventually(refused)


async def test_their_own_page_is_mailed_to_the_advocate_once_a_day_whoever_asks(advocacy: RunningAdvocacy) -> None:
    public = await shared(advocacy)
    for _ in range(3):
        assert (await advocacy.post(f"{public}/page")).status_code == 200
    mailed = [one for one in await advocacy.published(OutreachRequested) if one.play == "referral_page"]
    assert {(one.account, one.user, one.outreach_class) for one in mailed} == {("acme", "ann", "transactional")}
    assert len(mailed) == 1
    advocacy.clock.time = day(202.1)
    await advocacy.post(f"{public}/page")
    again = [one for one in await advocacy.published(OutreachRequested) if one.play == "referral_page"]
    assert len({one.id for one in again}) == len(again) == 2


async def test_a_friend_sees_the_first_name_only_while_the_advocate_agrees(advocacy: RunningAdvocacy) -> None:
    public = await shared(advocacy, candidate().contact(200, "ann", name="Ann Lee"))
    link = await asked(advocacy)
    await advocacy.post(link, choice="accept")
    assert "Ann" not in (await advocacy.get(public)).text
    await advocacy.post(link, choice="name", show_name="yes")
    friend = (await advocacy.get(public)).text
    assert "Ann recommends" in friend
    assert "Lee" not in friend
    await advocacy.post(link, choice="name")
    assert "Ann" not in (await advocacy.get(public)).text


async def test_whoever_signs_up_with_the_link_of_a_mail_that_was_passed_on_counts(advocacy: RunningAdvocacy) -> None:
    used = (await shared(advocacy)).rpartition("/")[2]
    await advocacy.publish_stories(signup(used, at=900).fact(910, "invoice_paid", amount=99.0))
    assert await booked(advocacy) == [("referred", "newco"), ("referrer", "acme")]
    assert await advocacy.published(AdvocateOptedIn) == []


async def test_a_reserved_code_that_somebody_else_holds_is_another_one_in_the_mail(advocacy: RunningAdvocacy) -> None:
    taken = derive_code("acme", "ann")
    early = Story("early").stage(190, "adoption").fact(191, "referral_code_issued", "kim", referral_code=taken)
    await advocacy.publish_stories(early)
    public = await shared(advocacy)
    assert public.endswith(f"/c/{derive_code('acme', 'ann', 1)}")
    await advocacy.post(await asked(advocacy), choice="accept")
    held = {each["code"]: each["account"] for each in await advocacy.services.pages("/advocacy/v1/advocates")}
    assert held == {taken: "early", derive_code("acme", "ann", 1): "acme"}


async def test_an_ask_is_withdrawn_when_health_falls(advocacy: RunningAdvocacy) -> None:
    link = await asked(advocacy)
    story = candidate()
    story.messages.clear()
    await advocacy.publish_stories(story.health(201, "red", 20.0))
    page = await advocacy.post(link, choice="accept")
    assert page.status_code == 410
    assert "no longer open" in page.text
    assert await advocacy.services.get("/advocacy/v1/asks") == {"withdrawn": 1}


async def test_a_code_leads_to_its_page_and_an_unknown_one_nowhere(advocacy: RunningAdvocacy) -> None:
    used = await advocate(advocacy)
    page = await advocacy.get(f"{advocacy.services.url}/advocacy/c/{used.lower()}")
    assert used in page.text
    assert (await advocacy.get(f"{advocacy.services.url}/advocacy/c/NOBODYS")).status_code == 404
    assert (await advocacy.post(f"{advocacy.services.url}/advocacy/c/{used}")).status_code == 200
    assert (await advocacy.post(f"{advocacy.services.url}/advocacy/c/NOBODYS")).status_code == 404
    assert [row.code for row in await advocacy.rows(code)] == [used]


async def test_a_signup_that_pays_books_one_pending_reward_a_side(advocacy: RunningAdvocacy) -> None:
    used = await advocate(advocacy)
    story = signup(used).fact(210, "invoice_paid", amount=99.0).fact(240, "invoice_paid", amount=99.0)
    twice = list(story.messages)
    await advocacy.publish_stories(story)
    story.messages += twice
    await advocacy.publish_stories(story)
    assert await booked(advocacy) == [("referred", "newco"), ("referrer", "acme")]
    assert [one.account for one in await advocacy.published(ReferralConverted)] == ["acme"]
    assert sorted(one.amount for one in await advocacy.published(RewardBooked)) == [2500, 5000]
    first = Counter(row.reward_id for row in await advocacy.rows(ledger_entry) if row.status == "pending")
    assert sorted(first.values()) == [2, 2]


async def test_who_pays_before_signing_up_with_the_code_counts_too(advocacy: RunningAdvocacy) -> None:
    used = await advocate(advocacy)
    story = Story("newco").stage(203, "onboarding").fact(204, "invoice_paid", amount=9.0)
    await advocacy.publish_stories(story)
    await advocacy.publish_stories(
        story.fact(205, "referred_signup", "kim", referral_code=used, email="kim@newco.example")
    )
    assert await booked(advocacy) == [("referred", "newco"), ("referrer", "acme")]


@pytest.mark.parametrize("code_first", [True, False])
async def test_whichever_is_heard_first_it_ends_the_same(advocacy: RunningAdvocacy, code_first: bool) -> None:
    brings = Story("acme").stage(0, "retention").contact(1, "ann", "ann@acme.example")
    brings.fact(2, "referral_code_issued", "ann", referral_code="ann-2026")
    comes = signup("ANN2026", at=20).fact(30, "invoice_paid", amount=9.0)
    for story in (brings, comes) if code_first else (comes, brings):
        await advocacy.publish_stories(story)
    (row,) = await advocacy.rows(referral)
    assert (row.status, row.referrer_id, row.code) == ("converted", "acme", "ANN2026")
    assert await booked(advocacy) == [("referred", "newco"), ("referrer", "acme")]


async def test_a_self_referral_is_refused_with_its_reason(advocacy: RunningAdvocacy) -> None:
    used = await advocate(advocacy)
    await advocacy.publish_stories(signup(used, email="bob@acme.example").fact(210, "invoice_paid", amount=9.0))
    (shown,) = await advocacy.services.pages("/advocacy/v1/referrals")
    assert (shown["status"], shown["reason"]) == ("refused", "the same company signed up (acme.example)")
    assert shown["rewards"] == []
    assert await advocacy.rows(reward) == []


async def test_the_ledger_sums_to_zero_through_approval_payment_and_reversal(advocacy: RunningAdvocacy) -> None:
    used = await advocate(advocacy)
    for account in ("newco", "other"):
        await advocacy.publish_stories(signup(used, account).fact(210, "invoice_paid", amount=9.0))
    advocacy.clock.time = day(250)

    async def ripe() -> bool:
        return {row.status for row in await advocacy.rows(reward)} == {"payable"}

    await eventually(ripe)
    referred = await advocacy.services.pages("/advocacy/v1/referrals", status="converted", limit=1)
    ours, theirs = referred[0]["rewards"]
    assert [ours["status"], theirs["status"], ours["side"]] == ["payable", "payable", "referrer"]
    assert (await advocacy.services.http.post(f"/advocacy/v1/rewards/{ours['id']}/pay")).json()["status"] == "paid"
    assert (await advocacy.services.http.post(f"/advocacy/v1/rewards/{theirs['id']}/reverse")).json()[
        "status"
    ] == "reversed"
    again = await advocacy.services.http.post(f"/advocacy/v1/rewards/{ours['id']}/reverse")
    assert (again.status_code, again.json()["code"]) == (409, "forbidden_move")
    assert (await advocacy.services.http.post(f"/advocacy/v1/rewards/{used}/approve")).status_code == 422
    assert (await advocacy.services.http.post(f"/advocacy/v1/rewards/{UUID(int=1)}/approve")).status_code == 404
    ledger = await advocacy.services.get("/advocacy/v1/ledger")
    lines = await advocacy.services.pages("/advocacy/v1/ledger", limit=3)
    assert ledger["sum"] == sum(line["amount"] for line in lines) == 0
    stands = {one["account"]: one["amount"] for one in ledger["balances"] if one["amount"]}
    assert stands == {
        "assets:payouts": -5000,
        "expense:referral_rewards": 12500,
        "liability:rewards_payable": -7500,
    }
    await _lists_are_sorted_filtered_and_counted(advocacy, len(lines), ours["id"])


async def _lists_are_sorted_filtered_and_counted(advocacy: RunningAdvocacy, lines: int, paid: str) -> None:
    rest = advocacy.services
    for sort in ("transaction", "at", "account", "status"):
        forward = await rest.pages("/advocacy/v1/ledger", limit=3, sort=sort)
        assert [one[sort] for one in forward] == sorted(one[sort] for one in forward), sort
        assert (len(forward), await rest.pages("/advocacy/v1/ledger", limit=3, sort=f"-{sort}")) == (
            lines,
            forward[::-1],
        )
    assert (await rest.get("/advocacy/v1/ledger", q=paid[:8].upper(), status="paid", count=True))["total"] == 2
    assert await rest.pages("/advocacy/v1/ledger", account="assets:payouts", since=day(250).isoformat())
    assert not await rest.pages("/advocacy/v1/ledger", since=day(251).isoformat())
    for sort in ("id", "account", "code", "status", "signed_up_at"):
        found = await rest.pages("/advocacy/v1/referrals", limit=1, sort=f"-{sort}")
        assert len({one["id"] for one in found}) == 2, sort
    assert len(await rest.pages("/advocacy/v1/referrals", since=day(205).isoformat())) == 2
    assert not await rest.pages("/advocacy/v1/referrals", since=day(206).isoformat())
    for sort in ("code", "account", "issued_at"):
        assert len(await rest.pages("/advocacy/v1/advocates", sort=sort, account="acme")) == 1
    assert not await rest.pages("/advocacy/v1/advocates", since=day(251).isoformat())
    refused = await rest.http.get("/advocacy/v1/ledger", params={"sort": "amount"})
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_sort")
    assert "there are: transaction, at, account, status" in refused.json()["detail"]


async def test_a_reader_may_not_move_money(advocacy: RunningAdvocacy) -> None:
    keys = credentials(advocacy.services.assembly.contexts["advocacy"].settings.data)
    path = f"/advocacy/v1/rewards/{UUID(int=1)}/approve"
    answer = await advocacy.services.http.post(path, headers={"Authorization": f"Bearer {keys.read}"})
    assert answer.status_code == 403


async def test_a_refund_within_the_hold_takes_the_rewards_back(advocacy: RunningAdvocacy) -> None:
    used = await advocate(advocacy)
    await advocacy.publish_stories(signup(used).fact(210, "invoice_paid", amount=9.0).fact(215, "invoice_refunded"))
    (shown,) = await advocacy.services.pages("/advocacy/v1/referrals")
    assert (shown["status"], {one["status"] for one in shown["rewards"]}) == ("reversed", {"reversed"})
    assert {one["amount"] for one in (await advocacy.services.get("/advocacy/v1/ledger"))["balances"]} == {0}


async def test_a_reward_of_an_imported_past_waits_until_a_person_approves_it(advocacy: RunningAdvocacy) -> None:
    brings = Story("acme", history=True).stage(0, "retention").contact(1, "ann")
    comes = Story("newco", history=True).stage(9, "onboarding")
    comes.fact(10, "referred_signup", "kim", referral_code="ANN-7").fact(20, "invoice_paid", amount=9.0)
    await advocacy.publish_stories(brings.fact(2, "referral_code_issued", "ann", referral_code="ANN-7"), comes)
    (shown,) = await advocacy.services.pages("/advocacy/v1/referrals")
    assert [one["status"] for one in shown["rewards"]] == ["pending", "pending"]
    path = f"/advocacy/v1/rewards/{shown['rewards'][0]['id']}/approve"
    assert (await advocacy.services.http.post(path)).json()["status"] == "held"
    assert (await advocacy.services.http.post(path)).status_code == 409
    assert all(one.history for one in await advocacy.published(RewardBooked))


async def test_the_page_says_what_was_saved_and_offers_no_no_that_was_said(advocacy: RunningAdvocacy) -> None:
    link = await asked(advocacy)
    await advocacy.post(link, choice="accept")
    assert "Saved: friends do not see your name." in (await advocacy.post(link, choice="name")).text
    assert "Saved" not in (await advocacy.get(link)).text
    await advocacy.post(link, choice="never")
    page = (await advocacy.get(link)).text
    assert "You told us not to ask you" in page
    assert "Never ask me" not in page
