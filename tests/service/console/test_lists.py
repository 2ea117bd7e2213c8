"""Lists are searched, filtered, sorted and counted by the services, and come as files."""

import csv
import io

import pytest

from tests.service.console.make import BOB, FORMULA, HOSTILE, Browser, address

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def listed(admin: Browser, query: str, page: str = "accounts") -> list[list[str]]:
    answer = await admin.http.get(f"/console/{page}.csv?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith(f"attachment; filename=waymark-{page}-")
    return list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"), newline="")))


async def test_accounts_are_filtered_by_owner_plan_and_renewal(admin: Browser):
    for query in ("owner=Kim", "plan=Pro", "q=BOB", "sort=owner"):
        text = await admin.page(f"/console/accounts?{query}")
        assert "Bob &amp; Sons" in text, query
        assert ">Kim</a>" in text
        assert "2099-01-01" in text
    for query in ("owner=Lee", "owner=@nobody", "plan=Free", "renewal=90", "renewal=overdue", "q=zzz"):
        assert "Bob &amp; Sons</a>" not in await admin.page(f"/console/accounts?{query}"), query
    assert "<b>1</b> account " in await admin.page("/console/accounts?owner=Kim")


async def test_my_accounts_are_those_of_the_owner_i_chose_to_be(admin: Browser):
    text = await admin.page("/console/accounts?owner=@me")
    assert "No account matches" in text
    assert "the name of your key" in text
    answer = await admin.post("/console/me", owner="Kim")
    assert answer.headers["location"] == "/console/accounts?owner=%40me"
    text = await admin.page("/console/accounts?owner=@me")
    assert "Bob &amp; Sons" in text
    assert "mine (Kim)" in text
    assert len(await listed(admin, "owner=@me")) == 2
    assert (
        await admin.http.post("/console/me", data={"owner": "Lee"}, headers={"Origin": "http://evil"})
    ).status_code == 403
    await admin.post("/console/me", owner="")
    assert "mine (Kim)" not in await admin.page("/console/accounts")


async def test_the_file_has_every_account_of_the_list_and_no_formula(admin: Browser):
    heads, *rows = await listed(admin, "sort=name")
    assert heads[:3] == ["id", "name", "owner"]
    by_name = {row[1]: dict(zip(heads, row, strict=True)) for row in rows}
    assert f"'{FORMULA}" in by_name
    assert by_name["Bob & Sons"]["plan"] == "Pro"
    assert HOSTILE in by_name
    assert [row[0] for row in (await listed(admin, "q=bob"))[1:]] == [BOB]
    answer = await admin.http.get("/console/accounts.csv?flag=nonsense")
    assert answer.status_code == 400
    assert "there are: " in answer.text


async def test_every_list_is_searched_and_comes_as_a_file(admin: Browser):
    for page in ("tasks", "outbox", "parked", "referrals", "advocates", "ledger", "audit"):
        text = await admin.page(f"/console/{page}?q=zzz&sort=")
        assert 'name="q" value="zzz"' in text, page
        assert "panel missing" not in text, page
    for page in ("outbox", "tasks", "referrals", "advocates", "ledger", "audit", "plays"):
        assert len(await listed(admin, "", page)) >= 1
    for service in ("ingest", "lifecycle", "notify", "advocacy"):
        answer = await admin.http.get(f"/console/parked.csv?service={service}")
        assert answer.text.startswith("\ufeffid,parked_at"), service
    said = (await admin.http.get("/console/surveys/nps/answers.csv?q=LOVE&sort=-score")).text
    assert "<b>love</b> it" in said


async def test_parked_shows_all_four_services_and_redrives_where_it_is_asked_to(admin: Browser):
    text = await admin.page("/console/parked")
    for service in ("ingest", "lifecycle", "notify", "advocacy"):
        assert f"<h2>{service}</h2>" in text
    assert "<b>1</b> record " in text
    assert "<h2>notify</h2>" not in await admin.page("/console/parked?service=ingest&sort=-parked_at")
    assert (await admin.post("/console/parked/redrive", service="notify")).status_code == 422


async def test_the_audit_log_is_searched_filtered_and_sorted(admin: Browser):
    await admin.post(f"{address(BOB)}/notes", text="They renew.")
    text = await admin.page("/console/audit?q=NOTE+written&sort=actor")
    assert "note written" in text
    assert "session started</a>" not in text
    assert "session started</a>" in await admin.page("/console/audit?action=session_started&sort=at")
    assert "No entry matches" in await admin.page("/console/audit?q=zzz")
    assert 'name="actor" value="default"' in await admin.page("/console/audit?actor=default")
    assert "there are: session_started, " in await admin.page("/console/audit?action=nonsense")


async def test_one_surveys_answers_are_a_list_with_the_names_of_accounts(admin: Browser):
    text = await admin.page("/console/surveys/nps?sort=score&q=love")
    assert "Bob &amp; Sons" in text
    assert "<b>1</b> answer " in text
    assert "No answer matches" in await admin.page("/console/surveys/nps?q=hate")
    assert "No such survey" in await admin.page("/console/surveys/nothing", 404)


async def test_a_note_on_an_account_shows_with_who_wrote_it(admin: Browser):
    answer = await admin.post(f"{address(BOB)}/notes", text="<i>They</i> want SSO.")
    assert answer.headers["location"] == address(BOB)
    text = await admin.page(address(BOB))
    assert "&lt;i&gt;They&lt;/i&gt; want SSO. <footer>default" in text
    assert "note written" in await admin.page("/console/audit")


async def test_the_plays_say_whom_they_reach_and_when_they_start(admin: Browser):
    text = await admin.page("/console/plays")
    assert "<h2>welcome " in text
    assert "Starts on stage onboarding" in text
    assert "after 2 days" in text
    assert "kept out to compare" in text or "wait or are only shown" in text
