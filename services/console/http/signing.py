"""How does one get in and out? With an API key of kind read or admin; on loopback also by a ready-made link."""

from ipaddress import ip_address
from typing import Annotated

from fastapi import Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.console.core.origin import inside
from services.console.http.session import Sessions
from services.console.pages.rendering import STYLE, rendered

_UNKNOWN = "This key is not known here, or it only writes events. It takes one of kind read or admin."
_AWAY = "A key in an address ends up in logs: this works only where Waymark listens on loopback. Sign in here instead."


async def ask_for_key(request: Request, next: str = "") -> HTMLResponse:  # noqa: A002  the query's name
    """The form. A link from elsewhere comes without our strict cookie: such a page turns once to itself, and has it."""
    turn = request.headers.get("sec-fetch-site") == "cross-site"
    return _form(next, turn=turn)


async def sign_in(request: Request, key: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "") -> Response:  # noqa: A002
    """Check the key, give the cookie."""
    return _entered(request, key, next)


async def enter(request: Request, key: str = "", next: str = "") -> Response:  # noqa: A002
    """The link that `make demo` prints."""
    if not _loopback(request.app.state.host):
        return _form("", _AWAY, 403)
    response = _entered(request, key, next)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


async def sign_out(request: Request) -> Response:
    """Take the cookie back."""
    response = RedirectResponse("/console/sign-in", 303)
    _sessions(request).end(response)
    return response


async def style() -> Response:
    """The one style sheet; its address changes with its content."""
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=31536000, immutable"})


def _entered(request: Request, key: str, wanted: str) -> Response:
    session = _sessions(request).known(key.strip())
    if session is None:
        return _form(wanted, _UNKNOWN, 401)
    response = RedirectResponse(inside(wanted), 303)
    _sessions(request).begin(response, session)
    return response


def _form(wanted: str, problem: str = "", status: int = 200, *, turn: bool = False) -> HTMLResponse:
    to = inside(wanted)
    return HTMLResponse(rendered("sign_in.html", "", wanted=to, problem=problem, turn=turn), status)


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
