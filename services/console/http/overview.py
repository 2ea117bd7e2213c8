"""How are we doing? The funnel, the book's health, whom to look at first, and what customers say."""

import asyncio

from starlette.responses import HTMLResponse

from services.console.core.tally import Tally, tally
from services.console.effects import SERVICES, Answer, Ask
from services.console.http.desk import At

_PAGE, _PAGES = 500, 10


async def overview(desk: At) -> HTMLResponse:
    """The first page of the day."""
    (funnel, surveys, mode, tasks), (book, problem) = await asyncio.gather(
        desk.ask.several("/lifecycle/v1/funnel", "/advocacy/v1/surveys", "/notify/v1/mode", "/notify/v1/tasks"),
        _book(desk.ask),
    )
    return desk.page(
        "overview.html", funnel=funnel, surveys=surveys, mode=mode, tasks=tasks, book=book, problem=problem
    )


async def health(desk: At) -> HTMLResponse:
    """Can every service do its work?"""
    answers = await desk.ask.several(*(f"/{name}/readyz" for name in SERVICES))
    return desk.page("health.html", services=list(zip(SERVICES, answers, strict=True)))


async def _book(ask: Ask) -> tuple[Tally, str]:
    """The accounts, counted; the first 5,000 of them."""
    rows, answer = [], Answer()
    for _ in range(_PAGES):
        answer = await ask.get("/lifecycle/v1/accounts", limit=_PAGE, cursor=answer.next)
        rows += answer.rows
        if not answer.next:
            break
    return tally(rows, complete=not answer.next), answer.problem
