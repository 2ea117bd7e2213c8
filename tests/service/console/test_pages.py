"""Every page shows what it must, and hostile text only as text."""

import re

import pytest

from tests.make import track
from tests.service.console.make import BOB, HOSTILE, SLY, Browser, address

pytestmark = pytest.mark.asyncio(loop_scope="module")
LISTS = (
    *("", "accounts", "outbox", "tasks", "plays", "surveys", "referrals", "advocates", "ledger"),
    *("parked", "not-counted", "audit", "health", "stages", "mode"),
)


async def test_every_page_is_there_and_nothing_is_missing_on_it(admin: Browser):
    for page in LISTS:
        text = await admin.page(f"/console/{page}")
        assert "panel missing" not in text, page


async def test_no_page_asks_for_anything_from_elsewhere_or_runs_anything(admin: Browser):
    for page in (*(f"/console/{page}" for page in LISTS), address(BOB), address(SLY)):
        text = await admin.page(page)
        assert "<script" not in text
        tags = "".join(re.findall(r"<[^>]*>", text))  # what is only said, as what to set, may name an address
        assert "://" not in tags.replace(admin.services.url, "")
        assert not re.search(r"\s(style|on\w+)=", text), "the policy would block it"


async def test_the_overview_shows_the_funnel_the_flags_and_the_mode(admin: Browser):
    text = await admin.page("/console/")
    assert "nothing is sent" in text
    assert "/console/accounts?stage=onboarding" in text
    assert "Where they go" in text
    assert "/console/accounts?health=unknown" in text
    assert "Bob &amp; Sons" in text


async def test_accounts_are_filtered_by_stage_health_and_flag(admin: Browser):
    assert "Bob &amp; Sons" in await admin.page("/console/accounts?stage=onboarding&health=unknown")
    for other in ("stage=advocacy", "health=red", "flag=at_risk"):
        text = await admin.page(f"/console/accounts?{other}")
        assert "Bob &amp; Sons" not in text
        assert "No account matches" in text


async def test_a_filter_that_cannot_be_says_what_there_is(admin: Browser):
    assert "there are: " in await admin.page("/console/accounts?flag=nonsense")
    assert "not one of ours" in await admin.page("/console/accounts?cursor=nonsense")


async def test_an_account_shows_its_stage_its_health_what_is_missing_and_why_it_is_there(admin: Browser):
    text = await admin.page(address(BOB))
    for part in (
        "first seen → onboarding",
        "Its way so far",
        "→ adoption",
        "conditions hold",
        "not yet",
        "time since the last result",
    ):
        assert part in text
    assert "usage" in text
    assert "definition <code>" in text
    assert "seats" in text


async def test_an_account_nobody_knows_is_not_found(admin: Browser):
    assert "No such account" in await admin.page("/console/accounts/nobody", 404)


async def test_a_hostile_name_is_text_wherever_it_stands(admin: Browser):
    for page in ("/console/", "/console/accounts"):
        text = await admin.page(page)
        assert "<script>alert" not in text
        assert "a/&lt;script&gt;alert(1)" in text
        assert f'href="{address(HOSTILE)}"' in text, "its link is encoded whole"
    assert "<script>alert" not in (await admin.http.get(address(HOSTILE))).text
    text = await admin.page(address(SLY))
    assert "<img" not in text
    assert "<h1>&lt;img src=x&gt;?y=%2F#z&#34;&#39;&amp;..</h1>" in text
    assert f'href="{address(SLY)}?all=yes"' in text


async def test_what_customers_say_is_shown_as_text(admin: Browser):
    text = await admin.page("/console/surveys")
    assert "&lt;b&gt;love&lt;/b&gt; it" in text
    assert "hidden below five answers" in text


async def test_a_reflected_parameter_is_text(admin: Browser):
    for path in ("accounts?flag=", "outbox?play=", "outbox?account=", "parked?reason="):
        assert "<i>x" not in await admin.page(f"/console/{path}%22%3E%3Ci%3Ex")


async def test_health_names_every_service(admin: Browser):
    text = await admin.page("/console/health")
    for name in ("ingest", "lifecycle", "notify", "advocacy"):
        assert f"<h2>{name} " in text


async def test_the_front_door_leads_to_the_console(admin: Browser):
    for path in ("/", "/console"):
        assert (await admin.http.get(path)).headers["location"] == "/console/"
    assert "Nothing here" in await admin.page("/console/nowhere", 404)


async def test_no_code_no_snake_case_and_no_none_reaches_a_person(admin: Browser):
    for page in (*(f"/console/{page}" for page in LISTS), address(BOB)):
        text = await admin.page(page)
        shown = re.sub(r"<title>.*?</title>|<code>.*?</code>|<pre>.*?</pre>|<[^>]*>", " ", text, flags=re.DOTALL)
        assert not re.search(
            r"&gt;=|&lt;=|==|&amp;&amp;|\|\||\bNone\b|\w+_(28d|core|since|reached|missing)\w*", shown
        ), page


async def test_the_stages_are_drawn_and_told(admin: Browser):
    text = await admin.page("/console/stages")
    assert text.count('<rect class="stage') == 7
    assert text.count("marker-end=") == text.count("<li><b>→")
    assert "<title>onboarding → adoption: first use reached; " in text


async def test_what_was_taken_and_not_counted_has_a_page(admin: Browser):
    batch = [track("Feature usd", "ann", BOB, messageId="misspelt")]
    assert (
        await admin.services.http.post("/v1/batch", json={"batch": batch}, auth=(admin.keys.write, ""))
    ).status_code == 200
    await admin.services.wait_until_idle()
    text = await admin.page("/console/not-counted")
    assert "<td>Feature usd</td>" in text
    assert address(BOB) in text
    assert text.count("Nothing of the kind was met.") >= 2
