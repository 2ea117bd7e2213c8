"""Where is an account, and why? The list with its filters, and one account with everything known of it."""

import asyncio
from typing import Any

from starlette.responses import HTMLResponse

from services.console.core.edges import nearest_first
from services.console.core.measures import caps, measures
from services.console.core.shape import fields, rows
from services.console.core.tally import BANDS, flags_of
from services.console.core.timeline import stretches
from services.console.effects import Answer, part
from services.console.http.desk import At

_FLAGS = ("at_risk", "stalled", "renewal_window")
_DECISIONS = ("stage_changed", "flag_changed", "health_changed", "signal_raised", "milestone_reached")


async def accounts(desk: At, stage: str = "", health: str = "", flag: str = "", cursor: str = "") -> HTMLResponse:
    """Accounts by id, those that match every filter given."""
    found, funnel = await asyncio.gather(
        desk.ask.get("/lifecycle/v1/accounts", stage=stage, health=health, flag=flag, cursor=cursor, limit=50),
        desk.ask.get("/lifecycle/v1/funnel"),
    )
    seen = {one for row in found.rows for one in flags_of(row)}
    filters = [
        ("stage", stage, _choices([one.get("stage") for one in rows(funnel.fields.get("stages"))], stage)),
        ("health", health, _choices(BANDS, health)),
        ("flag", flag, _choices([*_FLAGS, *sorted(seen - set(_FLAGS))], flag)),
    ]
    given = {"stage": stage, "health": health, "flag": flag}
    return desk.page("accounts.html", found=found, filters=filters, given=given, cursor=cursor)


async def account(desk: At, account: str, cursor: str = "", all: str = "") -> HTMLResponse:  # noqa: A002
    """One account's page. `all` adds to its decisions the facts and contacts that were passed on."""
    there = f"/lifecycle/v1/accounts/{part(account)}"
    seen, moves, history, outbox, tasks = await asyncio.gather(
        desk.ask.get(there),
        desk.ask.get(f"{there}/history", kind="stage_changed", limit=200),
        desk.ask.get(f"{there}/history", kind=None if all else _DECISIONS, cursor=cursor, limit=40),
        desk.ask.get("/notify/v1/outbox", account=account, limit=20),
        desk.ask.get("/notify/v1/tasks", account=account),
    )
    if seen.status in {400, 404}:
        return desk.notice("No such account", seen.problem, 404, "/console/accounts")
    values = _shown(seen, moves)
    lists: dict[str, Any] = {"history": history, "outbox": outbox, "tasks": tasks}
    return desk.page("account.html", id=account, cursor=cursor, all=all, **lists, **values)


def _shown(seen: Answer, moves: Answer) -> dict[str, Any]:
    clauses = rows(fields(seen.fields.get("health")).get("clauses"))
    return {
        "seen": seen,
        "account": seen.fields,
        "edges": nearest_first(rows(seen.fields.get("next"))),
        "line": stretches(moves.rows, seen.fields.get("clock")),
        "measures": measures(clauses),
        "caps": caps(clauses),
    }


def _choices(known: Any, chosen: str) -> list[str]:
    """What a filter offers; what was chosen is among it, known or not."""
    offered = [str(one) for one in known]
    return offered if not chosen or chosen in offered else [*offered, chosen]
