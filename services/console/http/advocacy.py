"""Pages of advocacy: surveys with their answers, and referrals with who is owed what."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from fastapi import Depends, Form
from starlette.responses import HTMLResponse, Response

from services.console.core.answers import rows
from services.console.core.csv_export import Column, column
from services.console.core.formatting import ledger_account, money
from services.console.effects import path_segment
from services.console.http import lists
from services.console.http.auth import safe_next
from services.console.http.lists import Export
from services.console.http.visit import Visit
from shared.contracts.advocacy import ReferralStatus, RewardStatus

_LATEST = 5
_ANSWER_SORTS = (("", "latest first"), ("score", "lowest score first"), ("-score", "highest score first"))
_REFERRAL_SORTS = (
    ("", "latest first"),
    ("signed_up_at", "oldest first"),
    ("account", "account"),
    ("code", "code"),
    ("status", "status"),
)
_ADVOCATE_SORTS = (("", "latest first"), ("issued_at", "oldest first"), ("account", "account"), ("code", "code"))
_LEDGER_SORTS = (
    ("", "latest first"),
    ("at", "oldest first"),
    ("transaction", "by transaction"),
    ("account", "account"),
    ("status", "status"),
)
_ANSWER_COLUMNS = tuple(column(name, name) for name in ("at", "account", "user", "score", "group", "comment", "stage"))


def _rewards(row: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{each.get('side')} {money(each.get('amount'), each.get('currency'))} {each.get('status')}"
        for each in rows(row.get("rewards"))
    )


_REFERRAL_COLUMNS = (
    column("referred", "referred"),
    column("referrer", "referrer"),
    column("code", "code"),
    column("signed up", "signed_up_at"),
    column("converted", "converted_at"),
    column("status", "status"),
    column("reason", "reason"),
    Column("rewards", _rewards),
)
_ADVOCATE_COLUMNS = tuple(column(name, name) for name in ("code", "account", "user", "issued_at"))
_LEDGER_COLUMNS = (
    *(
        column(name, name)
        for name in ("at", "transaction", "reward", "rewarded", "side", "account", "status", "history")
    ),
    Column("amount", lambda row: money(row.get("amount"), row.get("currency"))),
)


def _answers_given(q: str = "", sort: str = "") -> dict[str, str]:
    return {"q": q, "sort": sort}


def _referrals_given(status: str = "", account: str = "", q: str = "", sort: str = "") -> dict[str, str]:
    return {"status": status, "account": account, "q": q, "sort": sort}


def _advocates_given(q: str = "", sort: str = "") -> dict[str, str]:
    return {"q": q, "sort": sort}


def _ledger_given(account: str = "", status: str = "", q: str = "", sort: str = "") -> dict[str, str]:
    return {"account": account, "status": status, "q": q, "sort": sort}


AnswersGiven = Annotated[dict[str, str], Depends(_answers_given)]
ReferralsGiven = Annotated[dict[str, str], Depends(_referrals_given)]
AdvocatesGiven = Annotated[dict[str, str], Depends(_advocates_given)]
LedgerGiven = Annotated[dict[str, str], Depends(_ledger_given)]


async def surveys(visit: Visit) -> HTMLResponse:
    """Each survey with its figure, how sure we are, and what was said last."""
    found = await visit.services.get("/advocacy/v1/surveys")
    names = [str(row.get("name") or "") for row in found.rows]
    answers = await asyncio.gather(*(visit.services.get(_answers(name), limit=_LATEST) for name in names))
    names_of = await lists.names_of(visit, (row.get("account") for each in answers for row in each.rows))
    return visit.page("surveys.html", found=found, surveys=list(zip(found.rows, answers, strict=True)), names=names_of)


async def survey(visit: Visit, survey: str, given: AnswersGiven, cursor: str = "") -> HTMLResponse:
    """One survey's answers."""
    found = await visit.services.get(_answers(survey), **given, cursor=cursor, limit=lists.PAGE, count="true")
    if found.status == 404:
        return visit.notice("No such survey", found.problem, 404, "/console/surveys")
    names = await lists.names_of(visit, (row.get("account") for row in found.rows))
    orders = lists.orders(given["sort"], _ANSWER_SORTS)
    values: dict[str, Any] = {"given": given, "orders": orders, "cursor": cursor, "names": names}
    return visit.page("answers.html", name=survey, found=found, **values)


async def answers_csv(visit: Visit, survey: str, given: AnswersGiven) -> Response:
    """The same list, all of it."""
    return await lists.as_csv(visit, Export("answers", _answers(survey), given, _ANSWER_COLUMNS))


async def referrals(visit: Visit, given: ReferralsGiven, cursor: str = "") -> HTMLResponse:
    """Who brought whom."""
    found, ledger, advocates = await asyncio.gather(
        visit.services.get(
            "/advocacy/v1/referrals", **_by(given, "-signed_up_at"), cursor=cursor, limit=lists.PAGE, count="true"
        ),
        visit.services.get("/advocacy/v1/ledger", limit=1),
        visit.services.get("/advocacy/v1/advocates", limit=1, count="true"),
    )
    names = await lists.names_of(visit, [row.get(side) for row in found.rows for side in ("referred", "referrer")])
    filters = [lists.of_words("status", given["status"], get_args(ReferralStatus))]
    orders = lists.orders(given["sort"], _REFERRAL_SORTS)
    values: dict[str, Any] = {"filters": filters, "orders": orders, "given": given, "cursor": cursor, "names": names}
    return visit.page("referrals.html", found=found, advocates=advocates, ledger=ledger, **values)


async def move_reward(
    visit: Visit, reward: str, move: Annotated[Literal["approve", "pay"], Form()], back: Annotated[str, Form()] = ""
) -> Response:
    """Let a reward out of review, or note that it was paid."""
    path = f"/advocacy/v1/rewards/{path_segment(reward)}/{move}"
    return await visit.change("POST", path, safe_next(back) if back else "/console/referrals")


async def referrals_csv(visit: Visit, given: ReferralsGiven) -> Response:
    """The same list, all of it."""
    return await lists.as_csv(
        visit, Export("referrals", "/advocacy/v1/referrals", _by(given, "-signed_up_at"), _REFERRAL_COLUMNS)
    )


async def advocates(visit: Visit, given: AdvocatesGiven, cursor: str = "") -> HTMLResponse:
    """Who holds a code, and whom it brought."""
    found = await visit.services.get(
        "/advocacy/v1/advocates", **_by(given, "-issued_at"), cursor=cursor, limit=lists.PAGE, count="true"
    )
    names = await lists.names_of(visit, (row.get("account") for row in found.rows))
    orders = lists.orders(given["sort"], _ADVOCATE_SORTS)
    values: dict[str, Any] = {"orders": orders, "given": given, "cursor": cursor, "names": names}
    return visit.page("advocates.html", found=found, **values)


async def advocates_csv(visit: Visit, given: AdvocatesGiven) -> Response:
    """The same list, all of it."""
    return await lists.as_csv(
        visit, Export("advocates", "/advocacy/v1/advocates", _by(given, "-issued_at"), _ADVOCATE_COLUMNS)
    )


async def ledger(visit: Visit, given: LedgerGiven, cursor: str = "") -> HTMLResponse:
    """What was booked for whom, and what is owed."""
    asked = _by(given, "-at")
    found = await visit.services.get("/advocacy/v1/ledger", **asked, cursor=cursor, limit=lists.PAGE, count="true")
    accounts = dict.fromkeys(str(row.get("account")) for row in rows(found.fields.get("balances")))
    filters = [
        lists.Filter("account", given["account"], [(one, ledger_account(one)) for one in accounts]),
        lists.of_words("status", given["status"], get_args(RewardStatus)),
    ]
    names = await lists.names_of(visit, (row.get("rewarded") for row in found.rows))
    orders = lists.orders(given["sort"], _LEDGER_SORTS)
    values: dict[str, Any] = {"filters": filters, "orders": orders, "given": given, "cursor": cursor, "names": names}
    return visit.page("ledger.html", found=found, **values)


async def ledger_csv(visit: Visit, given: LedgerGiven) -> Response:
    """The same list, all of it."""
    return await lists.as_csv(visit, Export("ledger", "/advocacy/v1/ledger", _by(given, "-at"), _LEDGER_COLUMNS))


def _by(given: dict[str, str], sort: str) -> dict[str, str]:
    """What was chosen, sorted this way where no order was."""
    return {**given, "sort": given["sort"] or sort}


def _answers(name: str) -> str:
    return f"/advocacy/v1/surveys/{path_segment(name)}/answers"
