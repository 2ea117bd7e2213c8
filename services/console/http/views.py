"""Views: one function a page, over the answers of the other services, and the table of routes."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import Form
from starlette.responses import HTMLResponse, Response

from services.console.core.answers import rows
from services.console.core.diagram import drawing
from services.console.core.metric_words import MetricWords
from services.console.core.portfolio import Portfolio, portfolio
from services.console.effects import SERVICES, ServiceClient, path_segment
from services.console.http import accounts, advocacy, auth, outreach, records
from services.console.http.visit import Visit, choose_me
from services.console.pages.rendering import link
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


async def stages(visit: Visit) -> HTMLResponse:
    """The stage machine, drawn."""
    found = await visit.services.get("/lifecycle/v1/definition")
    drawn = drawing(rows(found.fields.get("stages")), rows(found.fields.get("edges")))
    return visit.page("definition.html", found=found, drawing=drawn)


async def health(visit: Visit) -> HTMLResponse:
    """Can every service do its work?"""
    answers = await visit.services.get_all(*(f"/{name}/readyz" for name in SERVICES))
    return visit.page("health.html", services=list(zip(SERVICES, answers, strict=True)))


async def _portfolio(services: ServiceClient) -> tuple[Portfolio, str]:
    """All accounts counted, and the few that a person looks at first; with what went wrong."""
    counts, look_first, lately = await asyncio.gather(
        services.get("/lifecycle/v1/portfolio"),
        services.get("/lifecycle/v1/accounts", flag="at_risk", sort="score", why="true", limit=_LOOKED_AT),
        services.get("/lifecycle/v1/accounts", sort="-entered_at", limit=_LOOKED_AT),
    )
    return portfolio(counts.fields, look_first.rows, lately.rows), counts.problem


async def delivery(visit: Visit, delivery: str) -> HTMLResponse:
    """One delivery as it would arrive."""
    found = await visit.services.get(f"/notify/v1/outbox/{path_segment(delivery)}")
    if found.status == 404:
        return visit.notice("No such delivery", found.problem, 404, "/console/outbox")
    (definition,) = await visit.offered("/lifecycle/v1/definition")
    metrics = MetricWords(definition.fields.get("metrics"))
    return visit.page("delivery.html", id=delivery, found=found, one=found.fields, metrics=metrics)


async def mail(visit: Visit, delivery: str) -> HTMLResponse:
    """The mail's HTML alone, for the frame: no script, nothing loaded, no way out."""
    found = await visit.services.get(f"/notify/v1/outbox/{path_segment(delivery)}")
    html = found.fields.get("html")
    return HTMLResponse(html if isinstance(html, str) else "", headers={"Content-Security-Policy": FRAMED_MAIL_POLICY})


async def release(visit: Visit, delivery: str) -> Response:
    """Let one previewed delivery go out."""
    back = link("/console/outbox", delivery)
    return await visit.change("POST", f"/notify/v1/outbox/{path_segment(delivery)}/release", back)


async def redrive(visit: Visit, delivery: str) -> Response:
    """Send a delivery again that failed."""
    back = link("/console/outbox", delivery)
    return await visit.change("POST", f"/notify/v1/outbox/{path_segment(delivery)}/redrive", back)


async def confirm_mode(visit: Visit, to: Literal["preview", "live"] = "live") -> HTMLResponse:
    """Asks once more before anything may be sent, and says what is missing for it."""
    mode, readiness = await visit.services.get_all("/notify/v1/mode", "/notify/v1/readiness")
    return visit.page("mode.html", mode=mode, readiness=readiness, to=to)


async def approve_sends(visit: Visit) -> Response:
    """The first messages were looked at: let the rest go."""
    return await visit.change("POST", "/notify/v1/approval", "/console/outbox")


async def switch_mode(visit: Visit, mode: Annotated[Literal["preview", "live"], Form()]) -> Response:
    """Preview or live."""
    return await visit.change("PUT", "/notify/v1/mode", "/console/outbox", {"mode": mode})


ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/sign-in", auth.ask_for_key),
    ("POST", "/sign-in", auth.sign_in),
    ("GET", "/enter", auth.enter),
    ("POST", "/sign-out", auth.sign_out),
    ("GET", "/style.css", auth.style),
    ("GET", "/audit", records.audit),
    ("GET", "/audit.csv", records.audit_csv),
    ("GET", "/sessions", auth.list_sessions),
    ("POST", "/sessions/{session:plain}/end", auth.end_session),
    ("GET", "/", overview),
    ("GET", "/health", health),
    ("GET", "/stages", stages),
    ("GET", "/accounts", accounts.accounts),
    ("GET", "/accounts.csv", accounts.accounts_csv),
    ("GET", "/accounts/{account:id}", accounts.account),
    ("POST", "/me", choose_me),
    ("POST", "/accounts/{account:id}/notes", accounts.write_note),
    ("GET", "/outbox", outreach.outbox),
    ("GET", "/outbox.csv", outreach.outbox_csv),
    ("GET", "/outbox/{delivery:plain}", delivery),
    ("GET", "/outbox/{delivery:plain}/mail", mail),
    ("POST", "/outbox/{delivery:plain}/release", release),
    ("POST", "/outbox/{delivery:plain}/redrive", redrive),
    ("GET", "/mode", confirm_mode),
    ("POST", "/mode", switch_mode),
    ("POST", "/approval", approve_sends),
    ("GET", "/tasks", outreach.tasks),
    ("GET", "/tasks.csv", outreach.tasks_csv),
    ("POST", "/tasks/{task:plain}/done", outreach.task_done),
    ("GET", "/plays", outreach.plays),
    ("GET", "/plays.csv", outreach.plays_csv),
    ("GET", "/surveys", advocacy.surveys),
    ("GET", "/surveys/{survey:id}", advocacy.survey),
    ("GET", "/surveys/{survey:id}/answers.csv", advocacy.answers_csv),
    ("GET", "/referrals", advocacy.referrals),
    ("GET", "/referrals.csv", advocacy.referrals_csv),
    ("POST", "/rewards/{reward:plain}", advocacy.move_reward),
    ("GET", "/advocates", advocacy.advocates),
    ("GET", "/advocates.csv", advocacy.advocates_csv),
    ("GET", "/ledger", advocacy.ledger),
    ("GET", "/ledger.csv", advocacy.ledger_csv),
    ("GET", "/parked", records.parked),
    ("GET", "/parked.csv", records.parked_csv),
    ("POST", "/parked/redrive", records.redrive),
    ("GET", "/not-counted", records.not_counted),
)
"""Method, path under /console, and who answers."""
