"""Surveys over HTTP: one invitation reaches a person once, and their answer is counted once."""

import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select

from services.advocacy.core.invitations import sign_token
from services.advocacy.core.statistics import net, wilson
from services.advocacy.tables import answer, invitation, note
from shared.bus.protocol import ProducerRecord
from shared.contracts.advocacy import OutreachRequested, SurveyAnswered
from shared.contracts.outreach import ConsentChanged, OutreachRecorded
from shared.contracts.topics import LIFECYCLE
from shared.links import Links
from tests.conftest import Deployment
from tests.core.advocacy.make import Story, day
from tests.make import eventually
from tests.service.advocacy.make import RunningAdvocacy, running_advocacy, surveyed


@pytest.fixture
async def advocacy(deployment: Deployment) -> AsyncIterator[RunningAdvocacy]:
    async with running_advocacy(deployment.settings, at=61) as running:
        yield running


async def invited(advocacy: RunningAdvocacy) -> str:
    """The link that Ann got on day 60."""
    await advocacy.publish_stories(surveyed().stage(61, "value_realization"))
    (request,) = await advocacy.published(OutreachRequested)
    return str(request.link)


async def test_a_trigger_asks_one_person_once_with_a_link_that_opens(advocacy: RunningAdvocacy) -> None:
    link = await invited(advocacy)
    (row,) = await advocacy.rows(invitation)
    (request,) = await advocacy.published(OutreachRequested)
    assert (row.name, row.user_id, row.at, row.closes_at) == ("nps", "ann", day(60), day(74))
    assert (request.play, request.user, request.expires_at) == ("nps_invite", "ann", day(74))
    page = await advocacy.get(link)
    assert page.status_code == 200
    assert "How likely are you to recommend us" in page.text
    assert "Our Product" in page.text


async def test_a_page_has_strict_headers_and_no_address_in_it(advocacy: RunningAdvocacy) -> None:
    link = await invited(advocacy)
    page = await advocacy.get(link)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-robots-tag"] == "noindex, nofollow"
    assert page.headers["cache-control"] == "no-store"
    assert "ann" not in page.text
    assert "acme" not in link


async def test_looking_never_votes_and_only_preselects(advocacy: RunningAdvocacy) -> None:
    link = await invited(advocacy)
    page = await advocacy.get(f"{link}?score=9")
    assert re.findall(r'value="(\d+)" required checked', page.text) == ["9"]
    assert await advocacy.rows(answer) == []
    assert await advocacy.published(SurveyAnswered) == []


async def test_an_answer_may_be_changed_and_stays_one_row(advocacy: RunningAdvocacy) -> None:
    link = await invited(advocacy)
    assert "Thank you" in (await advocacy.post(link, score=3, comment="slow")).text
    assert (await advocacy.post(link, score=9, comment="fixed!")).status_code == 200
    assert (await advocacy.post(link, score=9, comment="fixed!")).status_code == 200
    (row,) = await advocacy.rows(answer)
    assert (row.score, row.comment, row.revision, row.stage) == (9, "fixed!", 2, "value_realization")
    told = await advocacy.published(SurveyAnswered)
    assert [(one.score, one.comment) for one in told] == [(3.0, "slow"), (9.0, "fixed!")]
    assert len({one.id for one in told}) == 2
    page = await advocacy.get(link)
    assert re.findall(r'value="(\d+)" required checked', page.text) == ["9"]
    assert "fixed!" in page.text


@pytest.mark.parametrize("score", ["11", "-1", "nine", ""])
async def test_a_score_off_the_scale_is_asked_for_again(advocacy: RunningAdvocacy, score: str) -> None:
    page = await advocacy.post(await invited(advocacy), score=score, comment="<b>hm</b>")
    assert page.status_code == 422
    assert "Please choose a number from 0 to 10." in page.text
    assert "&lt;b&gt;hm&lt;/b&gt;" in page.text
    assert await advocacy.rows(answer) == []


async def test_a_survey_that_closed_takes_nothing_and_says_so(advocacy: RunningAdvocacy) -> None:
    link = await invited(advocacy)
    advocacy.clock.time = day(74)
    pages = [await advocacy.get(link), await advocacy.post(link, score=9)]
    assert [page.status_code for page in pages] == [410, 410]
    assert "This link has expired." in pages[0].text
    assert await advocacy.rows(answer) == []


async def test_a_forged_link_opens_nothing(advocacy: RunningAdvocacy) -> None:
    link = await invited(advocacy)
    (row,) = await advocacy.rows(invitation)
    base, _, token = link.rpartition("/")
    other = sign_token(Links(b"a guess of sixteen bytes"), "survey", row.id, day(999))
    wrong_purpose = sign_token(
        Links(advocacy.services.assembly.contexts["advocacy"].secret), "referral", row.id, day(999)
    )
    unknown = sign_token(Links(advocacy.services.assembly.contexts["advocacy"].secret), "survey", "nobody", day(999))
    forged = [token[:-1] + ("A" if token[-1] != "A" else "B"), token + "A", "x", "v1...", other, wrong_purpose, unknown]
    statuses = {one: (await advocacy.post(f"{base}/{one}", score=9)).status_code for one in forged}
    assert statuses == dict.fromkeys(forged, 404)
    assert (await advocacy.get(f"{base}/%C3%A4.b")).status_code == 404
    assert await advocacy.rows(answer) == []


async def test_a_form_over_64_kilobytes_is_not_read(advocacy: RunningAdvocacy) -> None:
    assert (await advocacy.post(await invited(advocacy), score=9, comment="x" * 70_000)).status_code == 413
    assert await advocacy.rows(answer) == []


async def test_our_own_answer_that_lifecycle_forwards_is_not_counted_twice(advocacy: RunningAdvocacy) -> None:
    await advocacy.post(await invited(advocacy), score=9)
    story = surveyed()
    story.stage(61, "value_realization")
    story.messages.clear()
    await advocacy.publish_stories(story.fact(62, "nps_answered", "ann", score=9.0, survey="nps", via="waymark"))
    await advocacy.publish_stories(story.fact(63, "nps_answered", "bob", score=4.0))
    assert sorted((row.score, row.imported) for row in await advocacy.rows(answer)) == [(4, True), (9, False)]
    assert len(await advocacy.published(SurveyAnswered)) == 1


async def test_what_makes_no_sense_is_noted_with_its_reason(advocacy: RunningAdvocacy) -> None:
    await advocacy.publish_stories(
        Story().stage(0, "adoption").fact(1, "nps_answered", "ann", score=77.0).stage(61, "expansion")
    )
    found = {(one["kind"], one["reason"]) for one in await advocacy.services.pages("/advocacy/v1/notes", limit=1)}
    assert len(await advocacy.rows(note)) == len(found)
    assert ("fact_refused", "nps_answered: Please choose a number from 0 to 10.") in found
    assert ("survey_withheld", "day 60: no contact is known") in found


async def test_nobody_is_asked_who_unsubscribed_before_we_heard_of_the_account(advocacy: RunningAdvocacy) -> None:
    no = ConsentChanged(id="c", account="acme", at=day(0), decided_at=day(0), user="ann", topic="survey", granted=False)
    await advocacy.publish_outreach(no)
    await advocacy.publish_stories(surveyed().stage(61, "value_realization"))
    assert await advocacy.published(OutreachRequested) == []


async def test_time_alone_asks_when_the_day_comes(advocacy: RunningAdvocacy) -> None:
    advocacy.clock.time = day(59)
    await advocacy.publish_stories(surveyed())
    assert await advocacy.rows(invitation) == []
    advocacy.clock.time = day(60)

    async def asked() -> bool:
        return bool(await advocacy.published(OutreachRequested))

    await eventually(asked)
    assert [one.at for one in await advocacy.published(OutreachRequested)] == [day(60)]


async def test_the_figures_are_those_one_gets_by_hand(advocacy: RunningAdvocacy) -> None:
    """Six invited, five sent, one of those skipped by a later word; three promoters, a passive and two detractors."""
    people = ["p1", "p2", "p3"]
    await advocacy.publish_stories(
        *[surveyed(account, *people).stage(61, "value_realization") for account in ("acme", "globex")]
    )
    requests = await advocacy.published(OutreachRequested)
    assert len(requests) == 6
    for request in requests[:5]:
        await advocacy.publish_outreach(_recorded(request, "sent"), _recorded(request, "skipped"))
    for request, score in zip(requests, [10, 9, 3, 7], strict=False):
        await advocacy.post(request.link, score=score)
    elsewhere = Story("elsewhere").stage(0, "retention")
    await advocacy.publish_stories(
        elsewhere.fact(1, "nps_answered", "x", score=9.0).fact(2, "nps_answered", "y", score=6.0)
    )
    csat, nps = await advocacy.services.get("/advocacy/v1/surveys")
    assert (csat["name"], csat["score"], csat["sent"], csat["response"]) == ("csat", None, 0, None)
    assert nps["groups"] == {"promoter": 3, "passive": 1, "detractor": 2}
    assert (nps["sent"], nps["answered"], nps["imported"]) == (5, 4, 2)
    low, high = wilson(4, 5)
    assert nps["response"] == pytest.approx({"value": 80.0, "low": 100 * low, "high": 100 * high, "n": 5})
    assert (low, high) == pytest.approx((0.3755, 0.9638), abs=1e-4)
    assert nps["score"]["value"] == pytest.approx(100 * (3 - 2) / 6)
    by_hand = net(3, 2, 6)
    assert by_hand is not None
    assert nps["score"] == pytest.approx(by_hand._asdict())
    assert nps["score"]["low"] < nps["score"]["value"] < nps["score"]["high"]


async def test_below_five_answers_there_is_no_figure(advocacy: RunningAdvocacy) -> None:
    await advocacy.post(await invited(advocacy), score=10)
    _, nps = await advocacy.services.get("/advocacy/v1/surveys")
    assert (nps["groups"]["promoter"], nps["score"], nps["response"]) == (1, None, None)


async def test_answers_are_read_page_by_page_the_latest_first(advocacy: RunningAdvocacy) -> None:
    story = Story().stage(0, "adoption")
    for number in range(7):
        story.fact(number // 2, "nps_answered", f"u{number}", score=float(number), run=float(number))
    await advocacy.publish_stories(story)
    path = "/advocacy/v1/surveys/nps/answers"
    items = await advocacy.services.pages(path, limit=3)
    async with advocacy.database.snapshot() as read:
        stored = await read.scalar(select(func.count()).select_from(answer))
    assert len({one["id"] for one in items}) == len(items) == stored
    assert [one["at"] for one in items] == sorted((one["at"] for one in items), reverse=True)
    assert {one["group"] for one in items} == {"detractor"}
    assert (await advocacy.services.http.get(path, params={"cursor": "WzEsMl0"})).status_code == 400
    assert (await advocacy.services.http.get("/advocacy/v1/surveys/npps/answers")).status_code == 404
    assert (await advocacy.services.http.get("/advocacy/v1/surveys/%00/answers")).status_code == 422


async def test_rest_takes_a_key_and_pages_do_not(advocacy: RunningAdvocacy) -> None:
    for path in ("surveys", "surveys/nps/answers", "referrals", "advocates", "asks", "ledger", "notes", "parked"):
        assert (await advocacy.get(f"{advocacy.services.url}/advocacy/v1/{path}")).status_code == 401


async def test_a_message_nobody_can_read_is_parked_and_shown(advocacy: RunningAdvocacy) -> None:
    await advocacy.services.assembly.contexts["advocacy"].bus.publish(LIFECYCLE.name, [ProducerRecord(b"acme", b"{}")])
    await advocacy.services.wait_until_idle()
    (shown,) = await advocacy.services.pages("/advocacy/v1/parked")
    assert (shown["reason"], shown["body"]) == ("not_the_contract", "{}")


def _recorded(request: OutreachRequested, status: str) -> OutreachRecorded:
    return OutreachRecorded(
        id=f"{request.id}-{status}",
        account=request.account,
        at=day(61),
        decided_at=day(61),
        delivery=request.id,
        play=request.play,
        step="one",
        channel="email",
        outreach_class="survey",
        status=status,  # type: ignore[arg-type]
        user=request.user,
    )
