"""Pages of accounts: the list with its filters, the same as a file, and one account."""

import asyncio
from typing import Annotated, Any

from fastapi import Depends, Form
from starlette.responses import HTMLResponse, Response

from services.console.core.account_page import caps, measures, nearest_first, stretches
from services.console.core.answers import fields, rows
from services.console.core.csv_export import Column, column
from services.console.core.metric_words import MetricWords
from services.console.core.portfolio import BANDS, flags_of
from services.console.effects import Answer, path_segment
from services.console.http import lists
from services.console.http.lists import Export, Filter
from services.console.http.visit import ConsoleRequest, Visit
from services.console.pages.rendering import link

_RESOURCE = "/lifecycle/v1/accounts"
_BUILT_IN_FLAGS = ("at_risk", "stalled", "renewal_window")
_SORTS = (
    ("", "id"),
    ("name", "name"),
    ("known_score", "lowest health first"),
    ("score", "health unknown, then the lowest"),
    ("-score", "highest health first"),
    ("-entered_at", "latest move first"),
    ("entered_at", "longest in stage first"),
    ("renewal_at", "next renewal first"),
    ("owner", "owner"),
)
_DECISIONS = (
    "stage_changed",
    "flag_changed",
    "health_changed",
    "signal_raised",
    "milestone_reached",
    "decision_corrected",
)
_COLUMNS = (
    column("id", "id"),
    column("name", "name"),
    column("owner", "owner"),
    column("stage", "stage"),
    column("in stage since", "entered_at"),
    column("health", "band"),
    column("score", "score"),
    column("flags", "flags"),
    Column("why", lambda row: " ".join(str(one.get("reason") or "") for one in rows(row.get("raised"))).strip()),
    column("plan", "plan"),
    column("renewal", "renewal_at"),
)


def _given(
    stage: str = "",
    health: str = "",
    flag: str = "",
    owner: str = "",
    plan: str = "",
    renewal: str = "",
    q: str = "",
    sort: str = "",
) -> dict[str, str]:
    return {
        "stage": stage,
        "health": health,
        "flag": flag,
        "owner": owner,
        "plan": plan,
        "renewal": renewal,
        "q": q,
        "sort": sort,
    }


Given = Annotated[dict[str, str], Depends(_given)]
"""The choices of the list, as they stand in its address."""


async def accounts(visit: Visit, given: Given, cursor: str = "") -> HTMLResponse:
    """Accounts that match every filter given, in the order asked for."""
    asked = _asked(visit, given) | ({"why": "true"} if given["flag"] else {})
    found, (counts,) = await asyncio.gather(
        visit.services.get(_RESOURCE, **asked, cursor=cursor, limit=lists.PAGE, count="true"),
        visit.offered("/lifecycle/v1/portfolio"),
    )
    filters = _filters(visit, given, found, counts)
    orders = [(value, value == given["sort"], words) for value, words in _SORTS]
    owners = sorted(owner for owner in fields(counts.fields.get("owners")) if owner)
    return visit.page(
        "accounts.html",
        found=found,
        filters=filters,
        orders=orders,
        given=given,
        cursor=cursor,
        owners=owners,
        me=visit.me,
        known=visit.chosen or visit.me in owners,
    )


async def accounts_csv(visit: Visit, given: Given) -> Response:
    """The same list, all of it."""
    asked = _asked(visit, given) | {"why": "true"}
    return await lists.as_csv(visit, Export("accounts", _RESOURCE, asked, _COLUMNS))


def _asked(visit: ConsoleRequest, given: dict[str, str]) -> dict[str, Any]:
    plain = {name: given[name] for name in ("stage", "health", "flag", "plan", "q", "sort") if given[name]}
    return plain | lists.owner_asked(visit, given["owner"]) | lists.renewal_asked(visit, given["renewal"])


def _filters(visit: ConsoleRequest, given: dict[str, str], found: Answer, counts: Answer) -> list[Filter]:
    known = counts.fields
    seen = {*fields(known.get("flags")), *(one for row in found.rows for one in flags_of(row))}
    flags = [*_BUILT_IN_FLAGS, *sorted(seen - set(_BUILT_IN_FLAGS))]
    return [
        lists.of_words("stage", given["stage"], fields(known.get("stages"))),
        lists.of_words("health", given["health"], BANDS),
        lists.of_words("flag", given["flag"], flags),
        lists.of_owners(visit, given["owner"], fields(known.get("owners"))),
        lists.of_names("plan", given["plan"], sorted(fields(known.get("plans")))),
        lists.of_renewals(given["renewal"]),
    ]


async def account(visit: Visit, account: str, cursor: str = "", all: str = "") -> HTMLResponse:  # noqa: A002
    """One account's page. `all` adds to its decisions the facts and contacts that were passed on."""
    there = f"{_RESOURCE}/{path_segment(account)}"
    seen, moves, history, outbox, tasks, notes, definition = await asyncio.gather(
        visit.services.get(there),
        visit.services.get(f"{there}/history", kind="stage_changed", limit=200),
        visit.services.get(f"{there}/history", kind=None if all else _DECISIONS, cursor=cursor, limit=40),
        visit.services.get("/notify/v1/outbox", account=account, limit=20),
        visit.services.get("/notify/v1/tasks", account=account),
        visit.services.get(f"{there}/notes", limit=20),
        visit.services.get("/lifecycle/v1/definition"),
    )
    if seen.status in {400, 404}:
        return visit.notice("No such account", seen.problem, 404, "/console/accounts")
    values = _account_values(seen, moves) | {"metrics": MetricWords(definition.fields.get("metrics"))}
    found: dict[str, Any] = {"history": history, "outbox": outbox, "tasks": tasks, "notes": notes}
    return visit.page("account.html", id=account, cursor=cursor, all=all, **found, **values)


async def write_note(visit: Visit, account: str, text: Annotated[str, Form()] = "") -> Response:
    """Write something about an account."""
    back = link("/console/accounts", account)
    return await visit.change("POST", f"{_RESOURCE}/{path_segment(account)}/notes", back, {"text": text})


def _account_values(seen: Answer, moves: Answer) -> dict[str, Any]:
    clauses = rows(fields(seen.fields.get("health")).get("clauses"))
    return {
        "seen": seen,
        "account": seen.fields,
        "edges": nearest_first(rows(seen.fields.get("next"))),
        "line": stretches(moves.rows, seen.fields.get("clock")),
        "measures": measures(clauses),
        "caps": caps(clauses, seen.fields.get("score")),
    }
