"""Authentication: sessions in a signed cookie, the sign-in pages, and the middleware around every page.

A page is closed to whoever has no session, and a POST counts only from one of our own forms: a new page is safe from the
start. One signs in with an API key of kind read or admin; on loopback also by a ready-made link.
"""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import Form
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.console.pages.rendering import STYLE, link, rendered
from shared.clock import Clock
from shared.http.security import CONSOLE_POLICY
from shared.keys import Keys
from shared.links import BadLink, Links

_COOKIE = "waymark_console"
_PURPOSE = "console"
_LIFETIME = timedelta(hours=12)


class Session(NamedTuple):
    """The operator's key, and what it may do."""

    key: str
    kind: Literal["read", "admin"]


class Sessions:
    """Starts and ends sessions. `secure`: the cookie travels over TLS only."""

    def __init__(self, links: Links, keys: Keys, clock: Clock, *, secure: bool) -> None:
        self._links = links
        self._keys = keys
        self._clock = clock
        self._secure = secure

    def session_of_key(self, key: str) -> Session | None:
        """The session of a key; None for one that is not known, or only writes."""
        if self._keys.find(key, ("admin",)):
            return Session(key, "admin")
        return Session(key, "read") if self._keys.find(key, ("read",)) else None

    def session_of(self, request: Request) -> Session | None:
        """The session of a request: a key that was withdrawn ends it."""
        try:
            subject = self._links.read(_PURPOSE, request.cookies.get(_COOKIE, ""), self._clock.now())
        except BadLink:
            return None
        return self.session_of_key(subject.get("key", ""))

    def start(self, response: Response, session: Session) -> None:
        """Give the cookie."""
        token = self._links.sign(_PURPOSE, {"key": session.key}, self._clock.now() + _LIFETIME)
        response.set_cookie(
            _COOKIE,
            token,
            max_age=int(_LIFETIME.total_seconds()),
            path="/console",
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )

    def end(self, response: Response) -> None:
        """Take the cookie back."""
        response.delete_cookie(_COOKIE, path="/console", secure=self._secure, httponly=True, samesite="strict")


_OVERVIEW = "/console/"


def is_same_origin(headers: Mapping[str, str], public: str) -> bool:
    """Whether a POST may count. Browsers send `Sec-Fetch-Site` over TLS and on loopback, `Origin` everywhere."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin", "").partition("://")[2]
    return bool(origin) and origin in {headers.get("host", ""), public.partition("://")[2]}


def safe_next(path: str) -> str:
    """The page of ours to go on to after signing in; the overview for anything else."""
    plain = path.isascii() and path.isprintable() and "\\" not in path
    return path if plain and path.startswith(_OVERVIEW) and len(path) < 1000 else _OVERVIEW


_PUBLIC_PAGES = frozenset(
    f"/console/{page}" for page in ("sign-in", "enter", "style.css", "livez", "readyz", "metrics")
)
_SAFE_METHODS = frozenset({"GET", "HEAD"})

HEADERS = {
    "Content-Security-Policy": CONSOLE_POLICY,
    # not no-referrer: with it browsers send forms with `Origin: null`, and the origin could not be checked
    "Referrer-Policy": "same-origin",
}
"""What the console's pages are sent with, besides the headers of every answer."""


class AuthMiddleware:
    """ASGI middleware: refuses what may not pass."""

    def __init__(self, app: ASGIApp, sessions: Sessions, public: str) -> None:
        self._app = app
        self._sessions = sessions
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        answer: Any = self._refusal(Request(scope)) or self._app
        await answer(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that may not pass; else the session is left on it."""
        if request.method not in _SAFE_METHODS and not is_same_origin(request.headers, self._public):
            return HTMLResponse(rendered("notice.html", "", title="Not from here", text=_CROSS_ORIGIN), 403)
        path = request.scope["path"]
        if path in _PUBLIC_PAGES:
            return None
        request.state.session = self._sessions.session_of(request)
        if request.state.session is not None:
            return None
        wanted = f"{path}?{request.url.query}" if request.url.query else path
        return RedirectResponse(link("/console/sign-in", next="" if wanted == "/console/" else wanted), 303)


_CROSS_ORIGIN = "This form was not sent from a page of this console, so nothing was done."


_UNKNOWN_KEY = "This key is not known here, or it only writes events. It takes one of kind read or admin."
_NOT_LOOPBACK = (
    "A key in an address ends up in logs: this works only where Waymark listens on loopback. Sign in here instead."
)


async def ask_for_key(request: Request, next: str = "") -> HTMLResponse:  # noqa: A002  the query's name
    """The form. A link from elsewhere comes without our strict cookie: such a page turns once to itself, and has it."""
    turn = request.headers.get("sec-fetch-site") == "cross-site"
    return _form(next, turn=turn)


async def sign_in(request: Request, key: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "") -> Response:  # noqa: A002
    """Check the key, give the cookie."""
    return _signed_in(request, key, next)


async def enter(request: Request, key: str = "", next: str = "") -> Response:  # noqa: A002
    """The link that `make demo` prints."""
    if not _loopback(request.app.state.host):
        return _form("", _NOT_LOOPBACK, 403)
    response = _signed_in(request, key, next)
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


def _signed_in(request: Request, key: str, wanted: str) -> Response:
    session = _sessions(request).session_of_key(key.strip())
    if session is None:
        return _form(wanted, _UNKNOWN_KEY, 401)
    response = RedirectResponse(safe_next(wanted), 303)
    _sessions(request).start(response, session)
    return response


def _form(wanted: str, problem: str = "", status: int = 200, *, turn: bool = False) -> HTMLResponse:
    to = safe_next(wanted)
    return HTMLResponse(rendered("sign_in.html", "", wanted=to, problem=problem, turn=turn), status)


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
