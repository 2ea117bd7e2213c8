"""Who is asked to refer others, what do they get, and when is money booked?"""

from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from services.advocacy.tables import code, invitation, ledger_entry, note, referral, reward
from shared.bus.tables import dead_letter
from shared.contracts.advocacy import AdvocateOptedIn, OutreachRequested, ReferralConverted, RewardBooked
from shared.keys import credentials
from tests.conftest import Deployment
from tests.core.advocacy.advocacy_making import Story, day, promoter
from tests.make import eventually
from tests.service.advocacy.voices import Voices, voices


@pytest.fixture
async def heard(deployment: Deployment) -> AsyncIterator[Voices]:
    async with voices(deployment.settings, at=201) as running:
        yield running


async def asked(heard: Voices) -> str:
    """The link to the page on which Ann is asked."""
    await heard.tell(promoter().stage(200, "advocacy"))
    return next(str(one.link) for one in await heard.heard(OutreachRequested) if one.play == "referral_invite")


async def advocate(heard: Voices) -> str:
    """Ann's code."""
    await heard.post(await asked(heard), choice="accept")
    (told,) = await heard.heard(AdvocateOptedIn)
    return str(told.code)


def signup(used: str, account: str = "newco", email: str = "", at: float = 205) -> Story:
    return (
        Story(account)
        .stage(at - 1, "onboarding")
        .fact(at, "referred_signup", "kim", referral_code=used, email=email or f"kim@{account}.example")
    )


def asks(requests: list[OutreachRequested]) -> list[OutreachRequested]:
    return [one for one in requests if one.play == "referral_invite"]


async def booked(heard: Voices) -> list[tuple[str, str]]:
    return sorted((row.side, row.account_id) for row in await heard.rows(reward))


async def test_a_healthy_promoter_is_asked_once_in_ninety_days(heard: Voices) -> None:
    story = promoter().stage(200, "advocacy").signal(201, "advocate_candidate").signal(280, "advocate_candidate")
    await heard.tell(story.fact(281, "nps_answered", "ann", score=10.0))
    assert len(asks(await heard.heard(OutreachRequested))) == 1
    await heard.tell(story.signal(291, "advocate_candidate"))
    assert [one.at for one in asks(await heard.heard(OutreachRequested))] == [day(200), day(290)]


async def test_opting_in_gives_a_code_once_and_looking_gives_none(heard: Voices) -> None:
    link = await asked(heard)
    page = await heard.get(link)
    assert "Would you recommend us to somebody?" in page.text
    assert "50.00 EUR" in page.text
    assert await heard.rows(code) == []
    first = await heard.post(link, choice="accept")
    again = await heard.post(link, choice="accept")
    (row,) = await heard.rows(code)
    (told,) = await heard.heard(AdvocateOptedIn)
    assert (row.code, row.account_id, row.user_id) == (told.code, "acme", "ann")
    assert row.code in first.text
    assert f"{heard.road.url}/advocacy/c/{row.code}" in again.text
    (shown,) = await heard.road.pages("/advocacy/v1/advocates")
    assert (shown["code"], shown["referrals"]) == (row.code, {})
    assert await heard.road.get("/advocacy/v1/asks") == {"accepted": 1}


async def test_who_got_a_code_from_an_earlier_tool_after_we_asked_keeps_that_one(heard: Voices) -> None:
    story = promoter().stage(200, "advocacy")
    await heard.tell(story)
    link = next(str(one.link) for one in await heard.heard(OutreachRequested) if one.play == "referral_invite")
    await heard.tell(story.fact(200.5, "referral_code_issued", "ann", referral_code="OLD2345"))
    page = await heard.post(link, choice="accept")
    assert (page.status_code, "OLD2345" in page.text) == (200, True)
    assert [row.code for row in await heard.rows(code)] == ["OLD2345"]
    (told,) = await heard.heard(AdvocateOptedIn)
    assert told.code == "OLD2345"


async def test_a_code_that_somebody_else_holds_stays_theirs_and_is_named(heard: Voices) -> None:
    for account in ("early", "late"):
        await heard.tell(
            Story(account).stage(200, "adoption").fact(201, "referral_code_issued", "kim", referral_code="SAME")
        )
    assert [(row.code, row.account_id) for row in await heard.rows(code)] == [("SAME", "early")]
    taken = [row for row in await heard.rows(note) if row.kind == "code_taken"]
    assert [(row.account_id, row.about) for row in taken] == [("late", "SAME")]
    assert await heard.rows(dead_letter) == []


async def test_declining_rests_for_a_hundred_and_eighty_days(heard: Voices) -> None:
    link = await asked(heard)
    assert "no hard feelings" in (await heard.post(link, choice="decline")).text
    assert "no hard feelings" in (await heard.get(link)).text
    (row,) = [row for row in await heard.rows(invitation) if row.purpose == "referral"]
    assert row.ask_status == "declined"
    later = promoter().stage(200, "advocacy")
    later.messages.clear()
    later.fact(379, "nps_answered", "ann", score=10.0).signal(380, "advocate_candidate")
    await heard.tell(later)
    assert len(asks(await heard.heard(OutreachRequested))) == 1
    await heard.tell(later.signal(382, "advocate_candidate"))
    assert [one.at for one in asks(await heard.heard(OutreachRequested))] == [day(200), day(381)]


async def test_a_choice_that_is_none_asks_again_and_an_expired_ask_is_closed(heard: Voices) -> None:
    link = await asked(heard)
    assert (await heard.post(link, choice="maybe")).status_code == 422
    heard.clock.time = day(215)
    assert (await heard.post(link, choice="accept")).status_code == 410
    assert (await heard.get(link)).status_code == 410
    assert await heard.rows(code) == []


async def test_an_ask_is_withdrawn_when_health_falls(heard: Voices) -> None:
    link = await asked(heard)
    story = promoter().stage(200, "advocacy")
    story.messages.clear()
    await heard.tell(story.health(201, "red", 20.0))
    page = await heard.post(link, choice="accept")
    assert page.status_code == 410
    assert "no longer open" in page.text
    assert await heard.road.get("/advocacy/v1/asks") == {"withdrawn": 1}


async def test_a_code_leads_to_its_page_and_an_unknown_one_nowhere(heard: Voices) -> None:
    used = await advocate(heard)
    page = await heard.get(f"{heard.road.url}/advocacy/c/{used.lower()}")
    assert used in page.text
    assert (await heard.get(f"{heard.road.url}/advocacy/c/NOBODYS")).status_code == 404
    assert (await heard.post(f"{heard.road.url}/advocacy/c/{used}")).status_code == 200
    assert (await heard.post(f"{heard.road.url}/advocacy/c/NOBODYS")).status_code == 404
    assert [row.code for row in await heard.rows(code)] == [used]


async def test_a_signup_that_pays_books_one_pending_reward_a_side(heard: Voices) -> None:
    used = await advocate(heard)
    story = signup(used).fact(210, "invoice_paid", amount=99.0).fact(240, "invoice_paid", amount=99.0)
    twice = list(story.messages)
    await heard.tell(story)
    story.messages += twice
    await heard.tell(story)
    assert await booked(heard) == [("referred", "newco"), ("referrer", "acme")]
    assert [one.account for one in await heard.heard(ReferralConverted)] == ["acme"]
    assert sorted(one.amount for one in await heard.heard(RewardBooked)) == [2500, 5000]
    first = Counter(row.reward_id for row in await heard.rows(ledger_entry) if row.status == "pending")
    assert sorted(first.values()) == [2, 2]


async def test_who_pays_before_signing_up_with_the_code_counts_too(heard: Voices) -> None:
    used = await advocate(heard)
    story = Story("newco").stage(203, "onboarding").fact(204, "invoice_paid", amount=9.0)
    await heard.tell(story)
    await heard.tell(story.fact(205, "referred_signup", "kim", referral_code=used, email="kim@newco.example"))
    assert await booked(heard) == [("referred", "newco"), ("referrer", "acme")]


@pytest.mark.parametrize("code_first", [True, False])
async def test_whichever_is_heard_first_it_ends_the_same(heard: Voices, code_first: bool) -> None:
    brings = Story("acme").stage(0, "retention").contact(1, "ann", "ann@acme.example")
    brings.fact(2, "referral_code_issued", "ann", referral_code="ann-2026")
    comes = signup("ANN2026", at=20).fact(30, "invoice_paid", amount=9.0)
    for story in (brings, comes) if code_first else (comes, brings):
        await heard.tell(story)
    (row,) = await heard.rows(referral)
    assert (row.status, row.referrer_id, row.code) == ("converted", "acme", "ANN2026")
    assert await booked(heard) == [("referred", "newco"), ("referrer", "acme")]


async def test_a_self_referral_is_refused_with_its_reason(heard: Voices) -> None:
    used = await advocate(heard)
    await heard.tell(signup(used, email="bob@acme.example").fact(210, "invoice_paid", amount=9.0))
    (shown,) = await heard.road.pages("/advocacy/v1/referrals")
    assert (shown["status"], shown["reason"]) == ("refused", "the same company signed up (acme.example)")
    assert shown["rewards"] == []
    assert await heard.rows(reward) == []


async def test_the_ledger_sums_to_zero_through_approval_payment_and_reversal(heard: Voices) -> None:
    used = await advocate(heard)
    for account in ("newco", "other"):
        await heard.tell(signup(used, account).fact(210, "invoice_paid", amount=9.0))
    heard.clock.time = day(250)

    async def ripe() -> bool:
        return {row.status for row in await heard.rows(reward)} == {"payable"}

    await eventually(ripe)
    referred = await heard.road.pages("/advocacy/v1/referrals", status="converted", limit=1)
    ours, theirs = referred[0]["rewards"]
    assert [ours["status"], theirs["status"], ours["side"]] == ["payable", "payable", "referrer"]
    assert (await heard.road.http.post(f"/advocacy/v1/rewards/{ours['id']}/pay")).json()["status"] == "paid"
    assert (await heard.road.http.post(f"/advocacy/v1/rewards/{theirs['id']}/reverse")).json()["status"] == "reversed"
    again = await heard.road.http.post(f"/advocacy/v1/rewards/{ours['id']}/reverse")
    assert (again.status_code, again.json()["code"]) == (409, "forbidden_move")
    assert (await heard.road.http.post(f"/advocacy/v1/rewards/{used}/approve")).status_code == 422
    assert (await heard.road.http.post(f"/advocacy/v1/rewards/{UUID(int=1)}/approve")).status_code == 404
    ledger = await heard.road.get("/advocacy/v1/ledger")
    lines = await heard.road.pages("/advocacy/v1/ledger", limit=3)
    assert ledger["sum"] == sum(line["amount"] for line in lines) == 0
    stands = {one["account"]: one["amount"] for one in ledger["balances"] if one["amount"]}
    assert stands == {
        "assets:payouts": -5000,
        "expense:referral_rewards": 12500,
        "liability:rewards_payable": -7500,
    }


async def test_a_reader_may_not_move_money(heard: Voices) -> None:
    keys = credentials(heard.road.assembly.contexts["advocacy"].settings.data)
    path = f"/advocacy/v1/rewards/{UUID(int=1)}/approve"
    answer = await heard.road.http.post(path, headers={"Authorization": f"Bearer {keys.read}"})
    assert answer.status_code == 403


async def test_a_refund_within_the_hold_takes_the_rewards_back(heard: Voices) -> None:
    used = await advocate(heard)
    await heard.tell(signup(used).fact(210, "invoice_paid", amount=9.0).fact(215, "invoice_refunded"))
    (shown,) = await heard.road.pages("/advocacy/v1/referrals")
    assert (shown["status"], {one["status"] for one in shown["rewards"]}) == ("reversed", {"reversed"})
    assert {one["amount"] for one in (await heard.road.get("/advocacy/v1/ledger"))["balances"]} == {0}


async def test_a_reward_of_an_imported_past_waits_until_a_person_approves_it(heard: Voices) -> None:
    brings = Story("acme", history=True).stage(0, "retention").contact(1, "ann")
    comes = Story("newco", history=True).stage(9, "onboarding")
    comes.fact(10, "referred_signup", "kim", referral_code="ANN-7").fact(20, "invoice_paid", amount=9.0)
    await heard.tell(brings.fact(2, "referral_code_issued", "ann", referral_code="ANN-7"), comes)
    (shown,) = await heard.road.pages("/advocacy/v1/referrals")
    assert [one["status"] for one in shown["rewards"]] == ["pending", "pending"]
    path = f"/advocacy/v1/rewards/{shown['rewards'][0]['id']}/approve"
    assert (await heard.road.http.post(path)).json()["status"] == "held"
    assert (await heard.road.http.post(path)).status_code == 409
    assert all(one.history for one in await heard.heard(RewardBooked))
