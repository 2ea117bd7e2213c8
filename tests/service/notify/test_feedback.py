"""Feedback: a dead address and a complaint hold in every account, and nobody can invent one by mail."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.keys import credentials
from tests.conftest import Deployment
from tests.core.notify.test_feedback import ARF, DSN, OUR_ID
from tests.service.notify.doors import Mailbox, mail_server
from tests.service.notify.make import Customer, Office, office

FEEDBACK, LIST = "/v1/feedback", "/v1/suppressions"


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def here(deployment: Deployment, box: Mailbox) -> AsyncIterator[Office]:
    async with mail_server(box) as port, office(deployment.settings, port) as made:
        await made.live()
        yield made


async def _statuses(here: Office, account: str) -> list[tuple[str, str]]:
    """What becomes of the welcome mail to ann@acme.test from this account."""
    customer = Customer(account)
    await here.take(customer.person(email="ann@acme.test"), customer.onboarding())
    await here.time()
    await here.sends().send()
    return [(row["status"], row["reason"]) for row in await here.rows(account=account, step="welcome_hello")]


async def _reasons(here: Office, address: str = "ann@acme.test") -> list[tuple[str, str]]:
    found = (await here.http.get(LIST, params={"address": address})).json()["items"]
    return [(one["reason"], one["source"]) for one in found]


async def test_an_address_that_the_server_calls_dead_is_written_to_from_no_account(here: Office, box: Mailbox) -> None:
    box.to_rcpt = "550 5.1.1 user unknown"
    assert await _statuses(here, "one") == [("failed", "bounced")]
    box.to_rcpt = ""
    assert await _statuses(here, "two") == [("skipped", "bounced")]
    assert await _reasons(here) == [("bounced", "email")]
    assert box.mails == []


@pytest.mark.parametrize("answer", ["552 5.2.2 mailbox full", "550 5.7.1 we do not like you"])
async def test_a_rejection_that_is_about_something_else_suppresses_nobody(
    here: Office, box: Mailbox, answer: str
) -> None:
    box.to_rcpt = answer
    assert await _statuses(here, "one") == [("failed", "refused")]
    assert await _reasons(here) == []


async def test_a_complaint_by_webhook_stops_everything_to_the_address(here: Office) -> None:
    report = {"type": "complaint", "address": "ANN@acme.test", "at": "2026-11-01T00:00:00Z", "reason": "abuse"}
    assert (await here.http.post(FEEDBACK, json=report)).json() == {"suppressed": 1, "known": 0, "unbelieved": 0}
    assert (await here.http.post(FEEDBACK, json=[report])).json() == {"suppressed": 0, "known": 1, "unbelieved": 0}
    assert await _statuses(here, "one") == [("skipped", "complained")]
    assert await _reasons(here) == [("complained", "feedback:default")]


async def test_a_provider_that_knows_only_basic_may_report_and_a_page_may_not(here: Office) -> None:
    report = {"type": "bounce", "address": "ann@acme.test"}
    keys = credentials(here.context.settings.data)

    async def answered(password: str, **headers: str) -> int:
        basic = base64.b64encode(f"ses:{password}".encode()).decode()
        answer = await here.http.post(FEEDBACK, json=report, headers={"Authorization": f"Basic {basic}", **headers})
        return answer.status_code

    assert await answered(keys.admin) == 200
    assert await answered(keys.write) == 200
    assert await answered("wrong") == 401
    assert await answered(keys.admin, Origin="https://evil.test") == 401
    assert (await here.http.post(FEEDBACK, json=report, headers={"Authorization": "Bearer nothing"})).status_code == 401


async def test_what_is_no_report_is_refused(here: Office) -> None:
    assert (await here.http.post(FEEDBACK, content=b"nothing")).json()["code"] == "unreadable_feedback"
    assert (await here.http.post(f"{FEEDBACK}/mail", content=b"Subject: hi\n\nhello")).status_code == 400


async def test_a_report_by_mail_counts_where_it_names_our_delivery_to_that_address(here: Office) -> None:
    assert await _statuses(here, "one") == [("sent", "")]
    row = await here.row(account="one", step="welcome_hello")
    real = DSN.replace(OUR_ID, row["id"]).encode()
    assert (await here.http.post(f"{FEEDBACK}/mail", content=real)).json()["suppressed"] == 1
    assert await _statuses(here, "two") == [("skipped", "bounced")]


@pytest.mark.parametrize("raw", [DSN, ARF])
async def test_nobody_silences_an_address_by_inventing_a_report(here: Office, raw: str) -> None:
    await _statuses(here, "one")
    row = await here.row(account="one", step="welcome_hello")
    invented = raw.encode()
    elsewhere = raw.replace(OUR_ID, row["id"]).replace("ann@acme.test", "victim@acme.test").encode()
    for content in (invented, elsewhere):
        answer = (await here.http.post(f"{FEEDBACK}/mail", content=content)).json()
        assert (answer["suppressed"], answer["unbelieved"]) == (0, 1)
    assert await _reasons(here) == await _reasons(here, "victim@acme.test") == []


async def test_a_complaint_whose_address_was_blackened_is_known_by_our_delivery(here: Office) -> None:
    await _statuses(here, "one")
    row = await here.row(account="one", step="welcome_hello")
    redacted = ARF.replace(OUR_ID, row["id"]).replace("ann@acme.test", "redacted").encode()
    assert (await here.http.post(f"{FEEDBACK}/mail", content=redacted)).json()["suppressed"] == 1
    assert await _reasons(here) == [("complained", "feedback:default")]


async def test_an_imported_list_is_a_no_for_everything_but_transactional(here: Office) -> None:
    items: list[dict[str, Any]] = [
        {"address": "Ann@Acme.test", "at": "2020-01-01"},
        {"address": "no address"},
        {"address": "bob@acme.test", "reason": "bounced", "at": "not a time"},
        {"address": "cyd@acme.test", "reason": "unsubscribed", "detail": "old tool"},
    ]
    assert (await here.http.post(LIST, json={"items": items})).json() == {"added": 2, "known": 0, "unreadable": [1, 2]}
    assert (await here.http.post(LIST, json={"items": items})).json() == {"added": 0, "known": 2, "unreadable": [1, 2]}
    assert await _statuses(here, "one") == [("skipped", "unsubscribed")]
    assert (await here.http.delete(LIST, params={"address": "ann@acme.test"})).json() == {"removed": True}
    assert (await here.http.delete(LIST, params={"address": "ann@acme.test"})).json() == {"removed": False}
    assert await _statuses(here, "two") == [("sent", "")]


async def test_the_list_is_read_page_by_page_and_nobody_is_left_out(here: Office) -> None:
    items = [{"address": f"user{number}@acme.test"} for number in range(25)]
    await here.http.post(LIST, json={"items": items})
    seen, cursor = list[str](), ""
    while True:
        page = (await here.http.get(LIST, params={"limit": 10, **({"cursor": cursor} if cursor else {})})).json()
        seen += [one["address"] for one in page["items"]]
        if not (cursor := page["next"]):
            break
    assert sorted(seen) == sorted(one["address"] for one in items)


async def test_the_list_is_filtered_by_reason_and_time_and_counted(here: Office) -> None:
    items = [
        {"address": "old@acme.test", "at": "2020-01-01"},
        {"address": "new@acme.test", "at": "2026-01-01"},
        {"address": "dead@acme.test", "at": "2026-01-01", "reason": "bounced"},
    ]
    await here.http.post(LIST, json={"items": items})

    async def found(**query: Any) -> tuple[list[str], int | None]:
        page = (await here.http.get(LIST, params=query)).json()
        return sorted(one["address"] for one in page["items"]), page["total"]

    assert await found(count="true") == (["dead@acme.test", "new@acme.test", "old@acme.test"], 3)
    assert await found(reason="imported", count="true", limit=1) == (["new@acme.test"], 2)
    assert await found(since="2021-01-01T00:00:00Z") == (["dead@acme.test", "new@acme.test"], None)
    assert await found(since="2021-01-01T00:00:00Z", reason="bounced") == (["dead@acme.test"], None)
    assert await found(address="old@acme.test", since="2021-01-01T00:00:00Z", count="true") == ([], 0)
    assert await found(address="old@acme.test", reason="imported") == (["old@acme.test"], None)
    refused = (await here.http.get(LIST, params={"reason": "bounce"})).json()
    assert (refused["code"], "there are: unsubscribed" in refused["detail"]) == ("unknown_reason", True)


async def test_reading_takes_a_key_and_changing_an_admins(here: Office) -> None:
    stranger = {"Authorization": f"Bearer {credentials(here.context.settings.data).write}"}
    assert (await here.http.get(LIST, headers=stranger)).status_code == 403
    item = {"items": [{"address": "a@b.test"}]}
    assert (await here.http.post(LIST, json=item, headers=stranger)).status_code == 403
