"""Views: one function a page, over the answers of the other services, and the table of routes."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from fastapi import Form
from starlette.responses import HTMLResponse, Response

from services.console.core.answers import rows
from services.console.core.portfolio import Portfolio, portfolio
from services.console.effects import SERVICES, Answer, ServiceClient, path_segment
from services.console.http import accounts, auth, lists
from services.console.http.visit import Visit, choose_me
from services.console.pages.rendering import link
from shared.contracts.outreach import DeliveryStatus
from shared.http.security import FRAMED_MAIL_POLICY

_LOOKED_AT = 8


async def overview(visit: Visit) -> HTMLResponse:
    """The first page of the day."""
    (funnel, surveys, mode, tasks), (found, problem) = await asyncio.gather(
        visit.services.get_all("/lifecycle/v1/funnel", "/advocacy/v1/surveys", "/notify/v1/mode", "/notify/v1/tasks"),
        _portfolio(visit.services),
    )
    return visit.page(
        "overview.html", funnel=funnel, surveys=surveys, mode=mode, tasks=tasks, portfolio=found, problem=problem
    )


async def health(visit: Visit) -> HTMLResponse:
    """Can every service do its work?"""
    answers = await visit.services.get_all(*(f"/{name}/readyz" for name in SERVICES))
    return visit.page("health.html", services=list(zip(SERVICES, answers, strict=True)))


async def _portfolio(services: ServiceClient) -> tuple[Portfolio, str]:
    """All accounts counted, and the few that a person looks at first; with what went wrong."""
    counts, look_first, lately = await asyncio.gather(
        services.get("/lifecycle/v1/portfolio"),
        services.get("/lifecycle/v1/accounts", flag="at_risk", sort="score", limit=_LOOKED_AT),
        services.get("/lifecycle/v1/accounts", sort="-entered_at", limit=_LOOKED_AT),
    )
    return portfolio(counts.fields, look_first.rows, lately.rows), counts.problem


async def outbox(
    visit: Visit, status: str = "", play: str = "", channel: str = "", account: str = "", cursor: str = ""
) -> HTMLResponse:
    """Every delivery, the latest first as notify gives them."""
    given = {"status": status, "play": play, "channel": channel, "account": account}
    found = await visit.services.get("/notify/v1/outbox", **given, cursor=cursor, limit=50)
    mode, plays = await visit.services.get_all("/notify/v1/mode", "/notify/v1/plays")
    names = sorted({str(row.get("name")) for row in plays.rows} | ({play} if play else set()))
    channels = {str(step.get("channel")) for one in plays.rows for step in rows(one.get("steps"))}
    filters = [
        lists.of_words("status", status, get_args(DeliveryStatus)),
        lists.of_words("play", play, names),
        lists.of_words("channel", channel, sorted(channels)),
    ]
    return visit.page("outbox.html", found=found, mode=mode, filters=filters, given=given, cursor=cursor)


async def delivery(visit: Visit, delivery: str) -> HTMLResponse:
    """One delivery as it would arrive."""
    found = await visit.services.get(f"/notify/v1/outbox/{path_segment(delivery)}")
    if found.status == 404:
        return visit.notice("No such delivery", found.problem, 404, "/console/outbox")
    return visit.page("delivery.html", id=delivery, found=found, one=found.fields)


async def mail(visit: Visit, delivery: str) -> HTMLResponse:
    """The mail's HTML alone, for the frame: no script, nothing loaded, no way out."""
    found = await visit.services.get(f"/notify/v1/outbox/{path_segment(delivery)}")
    html = found.fields.get("html")
    return HTMLResponse(html if isinstance(html, str) else "", headers={"Content-Security-Policy": FRAMED_MAIL_POLICY})


async def release(visit: Visit, delivery: str) -> Response:
    """Let one previewed delivery go out."""
    back = link("/console/outbox", delivery)
    return await visit.change("POST", f"/notify/v1/outbox/{path_segment(delivery)}/release", back)


async def confirm_mode(visit: Visit, to: Literal["preview", "live"] = "live") -> HTMLResponse:
    """Asks once more before anything may be sent."""
    mode = await visit.services.get("/notify/v1/mode")
    return visit.page("mode.html", mode=mode, to=to)


async def switch_mode(visit: Visit, mode: Annotated[Literal["preview", "live"], Form()]) -> Response:
    """Preview or live."""
    return await visit.change("PUT", "/notify/v1/mode", "/console/outbox", {"mode": mode})


async def tasks(visit: Visit, cursor: str = "") -> HTMLResponse:
    """What people have to do."""
    found = await visit.services.get("/notify/v1/tasks", cursor=cursor, limit=50)
    return visit.page("tasks.html", found=found, cursor=cursor)


async def task_done(visit: Visit, task: str) -> Response:
    """Tick one off."""
    return await visit.change("POST", f"/notify/v1/tasks/{path_segment(task)}/done", "/console/tasks")


async def surveys(visit: Visit) -> HTMLResponse:
    """Each survey with its figure, how sure we are, and what was said."""
    found = await visit.services.get("/advocacy/v1/surveys")
    names = [str(row.get("name") or "") for row in found.rows]
    answers: list[Answer] = list(
        await asyncio.gather(
            *(visit.services.get(f"/advocacy/v1/surveys/{path_segment(name)}/answers", limit=100) for name in names)
        )
    )
    return visit.page("surveys.html", found=found, surveys=list(zip(found.rows, answers, strict=True)))


async def referrals(visit: Visit, cursor: str = "") -> HTMLResponse:
    """Who brought whom, who may be asked, and what is owed."""
    found, advocates, ledger = await asyncio.gather(
        visit.services.get("/advocacy/v1/referrals", cursor=cursor, limit=50),
        visit.services.get("/advocacy/v1/advocates", limit=50),
        visit.services.get("/advocacy/v1/ledger", limit=50),
    )
    return visit.page("referrals.html", found=found, advocates=advocates, ledger=ledger, cursor=cursor)


async def parked(visit: Visit, reason: str = "", cursor: str = "") -> HTMLResponse:
    """Records that ingest could not take."""
    found = await visit.services.get("/ingest/v1/parked", reason=reason, cursor=cursor, limit=50)
    return visit.page("parked.html", found=found, reason=reason, cursor=cursor)


async def redrive(visit: Visit, ids: Annotated[list[str] | None, Form()] = None) -> Response:
    """Try these once more."""
    return await visit.change("POST", "/ingest/v1/parked/redrive", "/console/parked", {"ids": ids or []})


async def audit(visit: Visit, action: str = "", actor: str = "", subject: str = "", cursor: str = "") -> HTMLResponse:
    """Who did what, when and from where."""
    given = {"action": action, "actor": actor, "subject": subject}
    found = await visit.services.get("/ingest/v1/audit", **given, cursor=cursor, limit=100)
    return visit.page("audit.html", found=found, given=given, cursor=cursor)


ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/sign-in", auth.ask_for_key),
    ("POST", "/sign-in", auth.sign_in),
    ("GET", "/enter", auth.enter),
    ("POST", "/sign-out", auth.sign_out),
    ("GET", "/style.css", auth.style),
    ("GET", "/audit", audit),
    ("GET", "/sessions", auth.list_sessions),
    ("POST", "/sessions/{session:plain}/end", auth.end_session),
    ("GET", "/", overview),
    ("GET", "/health", health),
    ("GET", "/accounts", accounts.accounts),
    ("GET", "/accounts.csv", accounts.accounts_csv),
    ("GET", "/accounts/{account:id}", accounts.account),
    ("POST", "/me", choose_me),
    ("GET", "/outbox", outbox),
    ("GET", "/outbox/{delivery:plain}", delivery),
    ("GET", "/outbox/{delivery:plain}/mail", mail),
    ("POST", "/outbox/{delivery:plain}/release", release),
    ("GET", "/mode", confirm_mode),
    ("POST", "/mode", switch_mode),
    ("GET", "/tasks", tasks),
    ("POST", "/tasks/{task:plain}/done", task_done),
    ("GET", "/surveys", surveys),
    ("GET", "/referrals", referrals),
    ("GET", "/parked", parked),
    ("POST", "/parked/redrive", redrive),
)
"""Method, path under /console, and who answers."""
