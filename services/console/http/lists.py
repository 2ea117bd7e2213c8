"""What do customers say and bring, and what could not be taken? Surveys, referrals, parked records."""

import asyncio
from typing import Annotated

from fastapi import Form
from starlette.responses import HTMLResponse, Response

from services.console.effects import Answer, part
from services.console.http.desk import At


async def surveys(desk: At) -> HTMLResponse:
    """Each survey with its figure, how sure we are, and what was said."""
    found = await desk.ask.get("/advocacy/v1/surveys")
    names = [str(row.get("name") or "") for row in found.rows]
    answers: list[Answer] = list(
        await asyncio.gather(*(desk.ask.get(f"/advocacy/v1/surveys/{part(name)}/answers", limit=100) for name in names))
    )
    return desk.page("surveys.html", found=found, surveys=list(zip(found.rows, answers, strict=True)))


async def referrals(desk: At, cursor: str = "") -> HTMLResponse:
    """Who brought whom, who may be asked, and what is owed."""
    found, advocates, ledger = await asyncio.gather(
        desk.ask.get("/advocacy/v1/referrals", cursor=cursor, limit=50),
        desk.ask.get("/advocacy/v1/advocates", limit=50),
        desk.ask.get("/advocacy/v1/ledger", limit=50),
    )
    return desk.page("referrals.html", found=found, advocates=advocates, ledger=ledger, cursor=cursor)


async def parked(desk: At, reason: str = "", cursor: str = "") -> HTMLResponse:
    """Records that ingest could not take."""
    found = await desk.ask.get("/ingest/v1/parked", reason=reason, cursor=cursor, limit=50)
    return desk.page("parked.html", found=found, reason=reason, cursor=cursor)


async def redrive(desk: At, ids: Annotated[list[str] | None, Form()] = None) -> Response:
    """Try these once more."""
    return await desk.done("POST", "/ingest/v1/parked/redrive", "/console/parked", {"ids": ids or []})
