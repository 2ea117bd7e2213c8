"""Views: one function a page, over the answers of the other services, and the table of routes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal, NamedTuple, get_args

from fastapi import Depends, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.console.core.account_page import caps, measures, nearest_first, stretches
from services.console.core.answers import fields, rows
from services.console.core.portfolio import BANDS, Portfolio, flags_of, portfolio
from services.console.effects import SERVICES, Answer, ServiceClient, path_segment
from services.console.http import auth
from services.console.http.auth import SignedIn
from services.console.pages.rendering import link, rendered
from shared.contracts.outreach import DeliveryStatus
from shared.http.security import FRAMED_MAIL_POLICY


class ConsoleRequest(NamedTuple):
    """One request of a signed-in operator: who asks, the services to call, and ways to answer."""

    signed_in: SignedIn
    services: ServiceClient
    path: str

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page, with what this person may do."""
        key = self.signed_in.key
        return HTMLResponse(rendered(template, self.path, session=key, admin=self.signed_in.admin, **values), status)

    def notice(self, title: str, text: str, status: int, back: str = "/console/") -> HTMLResponse:
        """A page that says one thing."""
        return self.page("notice.html", status, title=title, text=text, back=back)

    async def change(self, method: str, path: str, back: str, body: Any = None) -> Response:
        """Change something as an admin, and go back to where it shows; or say why it was not done."""
        if not self.signed_in.admin:
            return self.notice("Not with this key", "This takes an API key of kind admin.", 403, back)
        answer: Answer = await self.services.change(method, path, body)
        if answer.problem:
            return self.notice("It was not done", answer.problem, answer.status, back)
        return RedirectResponse(back, 303)


async def _console_request(request: Request) -> AsyncIterator[ConsoleRequest]:
    signed_in: SignedIn = request.state.signed_in
    token = request.app.state.sign_in.token(signed_in)
    async with request.app.state.services.client(token) as services:
        yield ConsoleRequest(signed_in, services, request.scope["path"])


Visit = Annotated[ConsoleRequest, Depends(_console_request)]


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


_BUILT_IN_FLAGS = ("at_risk", "stalled", "renewal_window")
_SORTS = (
    ("", "id"),
    ("name", "name"),
    ("score", "lowest health first"),
    ("-score", "highest health first"),
    ("-entered_at", "latest move first"),
    ("entered_at", "longest in stage first"),
)
_DECISIONS = ("stage_changed", "flag_changed", "health_changed", "signal_raised", "milestone_reached")


async def accounts(
    visit: Visit, stage: str = "", health: str = "", flag: str = "", q: str = "", sort: str = "", cursor: str = ""
) -> HTMLResponse:
    """Accounts that match every filter given, in the order asked for."""
    given = {"stage": stage, "health": health, "flag": flag, "q": q, "sort": sort}
    found, counts = await asyncio.gather(
        visit.services.get("/lifecycle/v1/accounts", **given, cursor=cursor, limit=50),
        visit.services.get("/lifecycle/v1/portfolio"),
    )
    seen = {*fields(counts.fields.get("flags")), *(one for row in found.rows for one in flags_of(row))}
    filters = [
        ("stage", stage, _choices(fields(counts.fields.get("stages")), stage)),
        ("health", health, _choices(BANDS, health)),
        ("flag", flag, _choices([*_BUILT_IN_FLAGS, *sorted(seen - set(_BUILT_IN_FLAGS))], flag)),
    ]
    orders = [(value, value == sort, words) for value, words in _SORTS]
    return visit.page("accounts.html", found=found, filters=filters, orders=orders, given=given, cursor=cursor)


async def account(visit: Visit, account: str, cursor: str = "", all: str = "") -> HTMLResponse:  # noqa: A002
    """One account's page. `all` adds to its decisions the facts and contacts that were passed on."""
    there = f"/lifecycle/v1/accounts/{path_segment(account)}"
    seen, moves, history, outbox, tasks = await asyncio.gather(
        visit.services.get(there),
        visit.services.get(f"{there}/history", kind="stage_changed", limit=200),
        visit.services.get(f"{there}/history", kind=None if all else _DECISIONS, cursor=cursor, limit=40),
        visit.services.get("/notify/v1/outbox", account=account, limit=20),
        visit.services.get("/notify/v1/tasks", account=account),
    )
    if seen.status in {400, 404}:
        return visit.notice("No such account", seen.problem, 404, "/console/accounts")
    values = _account_values(seen, moves)
    lists: dict[str, Any] = {"history": history, "outbox": outbox, "tasks": tasks}
    return visit.page("account.html", id=account, cursor=cursor, all=all, **lists, **values)


def _account_values(seen: Answer, moves: Answer) -> dict[str, Any]:
    clauses = rows(fields(seen.fields.get("health")).get("clauses"))
    return {
        "seen": seen,
        "account": seen.fields,
        "edges": nearest_first(rows(seen.fields.get("next"))),
        "line": stretches(moves.rows, seen.fields.get("clock")),
        "measures": measures(clauses),
        "caps": caps(clauses),
    }


def _choices(offers: Any, chosen: str) -> list[str]:
    """What a filter offers; what was chosen is among it, known or not."""
    offered = [str(one) for one in offers]
    return offered if not chosen or chosen in offered else [*offered, chosen]


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
        ("status", status, get_args(DeliveryStatus)),
        ("play", play, names),
        ("channel", channel, _choices(sorted(channels), channel)),
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
    ("GET", "/accounts", accounts),
    ("GET", "/accounts/{account:id}", account),
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
