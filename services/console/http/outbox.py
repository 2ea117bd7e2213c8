"""What goes out, what did not and why, and what waits for a person?"""

from typing import Annotated, Literal

from fastapi import Form
from starlette.responses import HTMLResponse, Response

from services.console.effects import part
from services.console.http.desk import At
from services.console.pages.rendering import link

STATUSES = ("previewed", "pending", "sending", "sent", "skipped", "failed", "unknown", "opened", "done")
CHANNELS = ("email", "webhook", "task")
_MAIL = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


async def outbox(
    desk: At, status: str = "", play: str = "", channel: str = "", account: str = "", cursor: str = ""
) -> HTMLResponse:
    """Every delivery, the latest first as notify gives them."""
    given = {"status": status, "play": play, "channel": channel, "account": account}
    found = await desk.ask.get("/notify/v1/outbox", **given, cursor=cursor, limit=50)
    mode, plays = await desk.ask.several("/notify/v1/mode", "/notify/v1/plays")
    names = sorted({str(row.get("name")) for row in plays.rows} | ({play} if play else set()))
    filters = [("status", status, STATUSES), ("play", play, names), ("channel", channel, CHANNELS)]
    return desk.page("outbox.html", found=found, mode=mode, filters=filters, given=given, cursor=cursor)


async def delivery(desk: At, delivery: str) -> HTMLResponse:
    """One delivery as it would arrive."""
    found = await desk.ask.get(f"/notify/v1/outbox/{part(delivery)}")
    if found.status == 404:
        return desk.notice("No such delivery", found.problem, 404, "/console/outbox")
    return desk.page("delivery.html", id=delivery, found=found, one=found.fields)


async def mail(desk: At, delivery: str) -> HTMLResponse:
    """The mail's HTML alone, for the frame: no script, nothing loaded, no way out."""
    found = await desk.ask.get(f"/notify/v1/outbox/{part(delivery)}")
    html = found.fields.get("html")
    return HTMLResponse(html if isinstance(html, str) else "", headers={"Content-Security-Policy": _MAIL})


async def release(desk: At, delivery: str) -> Response:
    """Let one previewed delivery go out."""
    back = link("/console/outbox", delivery)
    return await desk.done("POST", f"/notify/v1/outbox/{part(delivery)}/release", back)


async def confirm_mode(desk: At, to: Literal["preview", "live"] = "live") -> HTMLResponse:
    """Asks once more before anything may be sent."""
    mode = await desk.ask.get("/notify/v1/mode")
    return desk.page("mode.html", mode=mode, to=to)


async def switch_mode(desk: At, mode: Annotated[Literal["preview", "live"], Form()]) -> Response:
    """Preview or live."""
    return await desk.done("PUT", "/notify/v1/mode", "/console/outbox", {"mode": mode})


async def tasks(desk: At, cursor: str = "") -> HTMLResponse:
    """What people have to do."""
    found = await desk.ask.get("/notify/v1/tasks", cursor=cursor, limit=50)
    return desk.page("tasks.html", found=found, cursor=cursor)


async def task_done(desk: At, task: str) -> Response:
    """Tick one off."""
    return await desk.done("POST", f"/notify/v1/tasks/{part(task)}/done", "/console/tasks")
