"""May this request pass, and what goes out with every answer? Around all pages: a new one is closed until it is opened."""

from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.core.origin import ours
from services.console.http.session import Sessions
from services.console.pages.rendering import link, rendered

_OPEN = frozenset(f"/console/{page}" for page in ("sign-in", "enter", "style.css", "livez", "readyz", "metrics"))
_READS = frozenset({"GET", "HEAD"})

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    # not no-referrer: with it browsers send forms with `Origin: null`, and the origin could not be checked
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


class Guard:
    """Starlette's kind of middleware."""

    def __init__(self, app: ASGIApp, sessions: Sessions, public: str) -> None:
        self._app = app
        self._sessions = sessions
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, content in _HEADERS.items():
                    headers.setdefault(name, content)
            await send(message)

        answer: Any = self._refusal(Request(scope)) or self._app
        await answer(scope, receive, headed)

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that may not pass; else the session is left on it."""
        if request.method not in _READS and not ours(request.headers, self._public):
            return HTMLResponse(rendered("notice.html", "", title="Not from here", text=_FOREIGN), 403)
        path = request.scope["path"]
        if path in _OPEN:
            return None
        request.state.session = self._sessions.of(request)
        if request.state.session is not None:
            return None
        wanted = f"{path}?{request.url.query}" if request.url.query else path
        return RedirectResponse(link("/console/sign-in", next="" if wanted == "/console/" else wanted), 303)


_FOREIGN = "This form was not sent from a page of this console, so nothing was done."
