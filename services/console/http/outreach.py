"""Pages of outreach: deliveries, tasks with what came of them, and the plays with whom they reach."""

import asyncio
from typing import Annotated, Any, get_args

from fastapi import Depends, Form
from starlette.responses import HTMLResponse, Response

from services.console.core.answers import rows
from services.console.core.csv_export import Column, column
from services.console.core.metric_words import MetricWords
from services.console.core.plays import play_row, play_rows
from services.console.core.why_not import why_not
from services.console.effects import path_segment
from services.console.http import lists
from services.console.http.auth import safe_next
from services.console.http.lists import Export
from services.console.http.visit import ConsoleRequest, Visit
from shared.contracts.outreach import DeliveryStatus

_SORTS = (
    ("", "newest first"),
    ("at", "oldest first"),
    ("account", "account"),
    ("play", "play"),
    ("status", "status"),
)
_WHO = (
    column("when", "at"),
    column("account", "account"),
    column("account name", "account_name"),
    column("owner", "owner"),
    column("person", "user_name"),
    column("user", "user"),
    column("address", "address"),
)
_WHAT = (
    column("play", "play"),
    column("step", "step"),
    column("channel", "channel"),
    column("subject", "subject"),
    column("status", "status"),
)
_OUTBOX_COLUMNS = (
    *(column("id", "id"), *_WHO, *_WHAT),
    *(column("reason", "reason"), column("detail", "detail"), column("sent", "sent_at"), column("history", "history")),
)
_TASK_COLUMNS = (
    *(column("id", "id"), *_WHO[:4], *_WHAT),
    *(column("outcome", "outcome"), column("done by", "done_by"), column("done", "done_at")),
)


_PLAY_COLUMNS = (
    *(column("play", "name"), column("class", "outreach_class"), column("starts on", "trigger")),
    Column("reached", lambda row: play_row(row).reached),
    Column("waiting or only shown", lambda row: play_row(row).waiting),
    Column("not sent", lambda row: play_row(row).not_sent),
    Column("why not", lambda row: ", ".join(f"{why_not(name)} {count:g}" for name, count in play_row(row).reasons)),
    column("does not start for want of", "lacks"),
)


def _outbox_given(
    status: str = "",
    play: str = "",
    channel: str = "",
    account: str = "",
    owner: str = "",
    q: str = "",
    sort: str = "",
) -> dict[str, str]:
    by_what = {"status": status, "play": play, "channel": channel}
    return {**by_what, "account": account, "owner": owner, "q": q, "sort": sort}


def _tasks_given(play: str = "", owner: str = "", done: str = "", q: str = "", sort: str = "") -> dict[str, str]:
    return {"play": play, "owner": owner, "done": "true" if done else "", "q": q, "sort": sort}


OutboxGiven = Annotated[dict[str, str], Depends(_outbox_given)]
TasksGiven = Annotated[dict[str, str], Depends(_tasks_given)]


async def outbox(visit: Visit, given: OutboxGiven, cursor: str = "") -> HTMLResponse:
    """Every delivery that matches, the latest first as notify gives them."""
    found, (mode, approval), (plays, counts, definition) = await asyncio.gather(
        visit.services.get("/notify/v1/outbox", **_asked(visit, given), cursor=cursor, limit=lists.PAGE, count="true"),
        visit.services.get_all("/notify/v1/mode", "/notify/v1/approval"),
        visit.offered("/notify/v1/plays", "/lifecycle/v1/portfolio", "/lifecycle/v1/definition"),
    )
    channels = {
        str(step.get("channel")) for one in plays.rows for step in rows(one.get("steps")) if step.get("channel")
    }
    filters = [
        lists.of_words("status", given["status"], get_args(DeliveryStatus)),
        lists.of_words("play", given["play"], sorted(str(row.get("name")) for row in plays.rows)),
        lists.of_words("channel", given["channel"], sorted(channels)),
        lists.of_owners(visit, given["owner"], lists.owners_in(counts)),
    ]
    orders = lists.orders(given["sort"], _SORTS)
    values: dict[str, Any] = {"filters": filters, "orders": orders, "given": given, "cursor": cursor}
    metrics = MetricWords(definition.fields.get("metrics"))
    return visit.page("outbox.html", found=found, mode=mode, approval=approval, metrics=metrics, **values)


async def outbox_csv(visit: Visit, given: OutboxGiven) -> Response:
    """The same list, all of it."""
    return await lists.as_csv(visit, Export("outbox", "/notify/v1/outbox", _asked(visit, given), _OUTBOX_COLUMNS))


async def tasks(visit: Visit, given: TasksGiven, cursor: str = "") -> HTMLResponse:
    """What people have to do, or did."""
    found = await visit.services.get(
        "/notify/v1/tasks", **_asked(visit, given), cursor=cursor, limit=lists.PAGE, count="true"
    )
    plays, counts = await visit.offered("/notify/v1/plays", "/lifecycle/v1/portfolio")
    with_tasks = sorted(
        str(one.get("name"))
        for one in plays.rows
        if any(step.get("channel") == "task" for step in rows(one.get("steps")))
    )
    filters = [
        lists.Filter("done", given["done"], [("true", "done")], without="not yet"),
        lists.of_words("play", given["play"], with_tasks),
        lists.of_owners(visit, given["owner"], lists.owners_in(counts)),
    ]
    orders = lists.orders(given["sort"], _SORTS[:-1])
    values: dict[str, Any] = {"filters": filters, "orders": orders, "given": given, "cursor": cursor}
    return visit.page("tasks.html", found=found, **values)


async def tasks_csv(visit: Visit, given: TasksGiven) -> Response:
    """The same list, all of it."""
    return await lists.as_csv(visit, Export("tasks", "/notify/v1/tasks", _asked(visit, given), _TASK_COLUMNS))


async def task_done(
    visit: Visit, task: str, outcome: Annotated[str, Form()] = "", back: Annotated[str, Form()] = ""
) -> Response:
    """Tick one off, with what came of it, and stay on the page where it was done."""
    path = f"/notify/v1/tasks/{path_segment(task)}/done"
    return await visit.change("POST", path, safe_next(back) if back else "/console/tasks", {"outcome": outcome})


async def plays(visit: Visit) -> HTMLResponse:
    """Every play: what starts it, whom it reached, and what was not sent and why."""
    found = await visit.services.get("/notify/v1/plays", reasons="true")
    return visit.page("plays.html", found=found, plays=play_rows(found.rows))


async def plays_csv(visit: Visit) -> Response:
    """The same as a file."""
    found = await visit.services.get("/notify/v1/plays", reasons="true")
    return lists.rows_as_csv(visit, "plays", _PLAY_COLUMNS, found)


def _asked(visit: ConsoleRequest, given: dict[str, str]) -> dict[str, Any]:
    plain = {name: value for name, value in given.items() if value and name != "owner"}
    return plain | lists.owner_asked(visit, given["owner"])
