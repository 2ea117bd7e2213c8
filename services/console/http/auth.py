"""Authentication: sessions by an opaque cookie, the sign-in pages, and the middleware around every page.

A page is closed to whoever has no session, and a POST counts only from one of our own forms: a new page is safe from the
start. One signs in with an API key of kind read or admin; on loopback also by a ready-made link. The key is asked for once and
kept nowhere: the services are asked under a token of the session.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Literal, NamedTuple

import structlog
from fastapi import Form
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.console.core.throttle import Bucket, Buckets, Throttle, Wait, network_of
from services.console.pages.rendering import STYLE, link, rendered
from shared.access import audit, sessions
from shared.access.audit import Actor, AuditEntry
from shared.access.sessions import EVERYBODY, SEEN_IS_KNOWN_TO, Delegation, Left, Session
from shared.db.errors import is_infrastructure
from shared.db.protocol import Tx
from shared.http.security import CONSOLE_POLICY
from shared.keys import Key, digest
from shared.service.context import ServiceContext

_COOKIE = "waymark_console"
_HOST_COOKIE = f"__Host-{_COOKIE}"
"""Over TLS: browsers take it from this host alone, and give it to this host alone."""
_KINDS: tuple[Literal["admin", "read"], ...] = ("admin", "read")
_log = structlog.get_logger(__name__)


class SignedIn(NamedTuple):
    """A session, with its key as it is now and the address that asks."""

    session: Session
    key: Key
    address: str

    @property
    def admin(self) -> bool:
        """Whether it may change something."""
        return self.key.kind == "admin"

    @property
    def actor(self) -> Actor:
        """Who acts, for the audit log."""
        return Actor(self.key.name, self.key.id, self.session.id, self.address)


class SignIn:
    """Starts, recognises and ends sessions, in the database that all processes share; how fast keys may be tried."""

    def __init__(self, context: ServiceContext, throttle: Throttle | None = None) -> None:
        self._access = context.access
        self._keys = context.keys
        self._clock = context.clock
        self._secret = context.secret
        self._delegation = Delegation(context.secret, context.keys, context.clock)
        self._public_tls = context.settings.public.startswith("https:")
        self._throttle = throttle or Throttle()

    async def attempt(self, address: str) -> int:
        """Take an attempt at a key from there: 0, or the seconds to wait first.

        Who has none left in this process is told so at once; the others are counted over all processes.
        """
        now, known = self._clock.now(), False
        wait = self._throttle.attempt(address, now)
        if wait.of_all:
            async with self._access.snapshot() as read:
                known = await sessions.knows(read, address)
            wait = self._throttle.attempt(address, now, known=True) if known else wait
        return wait.seconds or await self._counted_everywhere(address, now, known=known)

    async def _counted_everywhere(self, address: str, now: datetime, *, known: bool) -> int:
        async with self._access.transaction() as tx:
            left = await self._left(tx, address, now)
            wait, after = self._throttle.limits.attempt(left, now, known=known)
            if wait.of_all and await sessions.knows(tx, address):
                wait, after = self._throttle.limits.attempt(left, now, known=True)
            if wait == Wait():
                await self._save_left(tx, address, after)
        return wait.seconds

    async def _left(self, tx: Tx, address: str, now: datetime) -> Buckets:
        found, full = await sessions.lock_attempts(tx, network_of(address), now), self._throttle.limits.full(now)
        own, everybody = found.get(network_of(address)), found[EVERYBODY]
        return Buckets(Bucket(*own) if own else full.own, Bucket(*everybody))

    async def _save_left(self, tx: Tx, address: str, left: Buckets) -> None:
        await sessions.save_attempts(tx, {network_of(address): Left(*left.own), EVERYBODY: Left(*left.everybody)})

    def key_of(self, text: str, address: str) -> Key | None:
        """The key, of a kind that may look; None for any other."""
        key = self._keys.find(text, _KINDS)
        if key is None or key.acting is not None:
            return None
        self._throttle.succeeded(address, self._clock.now())
        return key

    async def start(self, request: Request, response: Response, key: Key, text: str) -> None:
        """Begin a session and give its cookie. One that the browser had is over."""
        now, address = self._clock.now(), address_of(request)
        before = await self.session_of(request)
        async with self._access.transaction() as tx:
            if before is not None:
                await sessions.end(tx, [before.session.id], now)
            made = await sessions.start(
                tx, key.id, self._check_of(digest(text)), address, request.headers.get("user-agent", ""), now
            )
            given_back = self._throttle.limits.succeeded(await self._left(tx, address, now), now)
            await self._save_left(tx, address, given_back)
            actor = Actor(key.name, key.id, made.session.id, address)
            await audit.record(tx, AuditEntry(now, actor, "session_started", made.session.id, {}))
        self._set_cookie(request, response, made.cookie)

    async def session_of(self, request: Request) -> SignedIn | None:
        """The session of a request. It is over when its key was revoked, or is another one of that name by now."""
        cookie = request.cookies.get(self._cookie_name(request), "")
        if not cookie:
            return None
        now = self._clock.now()
        async with self._access.snapshot() as read:
            session = await sessions.load(read, cookie, now)
        key = None if session is None else self._key_now(session)
        if session is None or key is None:
            return None
        if now - session.last_seen_at >= SEEN_IS_KNOWN_TO:
            async with self._access.transaction() as tx:
                await sessions.seen(tx, session, now)
        return SignedIn(session, key, address_of(request))

    async def visible_to(self, signed_in: SignedIn) -> Sequence[tuple[Session, Key]]:
        """The live sessions that this one may end: those of its own key, to an admin everybody's."""
        async with self._access.snapshot() as read:
            found = await sessions.live(read, self._clock.now())
        known = [(session, self._key_now(session)) for session in found]
        return [
            (session, key)
            for session, key in known
            if key is not None and (signed_in.admin or key.id == signed_in.key.id)
        ]

    async def end(self, ids: Sequence[str], by: SignedIn) -> None:
        """These are over, at once and in every process."""
        now = self._clock.now()
        async with self._access.transaction() as tx:
            await sessions.end(tx, ids, now)
            for session_id in ids:
                await audit.record(tx, AuditEntry(now, by.actor, "session_ended", session_id, {}))

    def token(self, signed_in: SignedIn) -> str:
        """What a service is shown for this session."""
        return self._delegation.token(signed_in.session, signed_in.address)

    def forget_cookie(self, request: Request, response: Response) -> None:
        """Take the cookie back."""
        response.delete_cookie(self._cookie_name(request), **self.cookie_place(request))

    def _key_now(self, session: Session) -> Key | None:
        """The session's key, if it is accepted and still the same text."""
        checks = (self._check_of(sha) for sha in self._keys.digests_of(session.key_id))
        same = any(hmac.compare_digest(check, session.key_check) for check in checks)
        return self._keys.of_id(session.key_id) if same else None

    def _check_of(self, sha: bytes) -> bytes:
        """Recognises a key without telling of it: keys of the settings may be short enough to be guessed from a plain hash."""
        return hmac.digest(self._secret, b"waymark console session" + sha, "sha256")

    def _set_cookie(self, request: Request, response: Response, cookie: str) -> None:
        lifetime = int(sessions.LIFETIME.total_seconds())
        response.set_cookie(self._cookie_name(request), cookie, max_age=lifetime, **self.cookie_place(request))

    def _over_tls(self, request: Request) -> bool:
        return self._public_tls or request.url.scheme == "https"

    def _cookie_name(self, request: Request) -> str:
        return _HOST_COOKIE if self._over_tls(request) else _COOKIE

    def cookie_place(self, request: Request) -> dict[str, Any]:
        tls = self._over_tls(request)
        return {"path": "/" if tls else "/console", "secure": tls, "httponly": True, "samesite": "strict"}


def address_of(request: Request) -> str:
    """Where the request came from: the connection's other end, or what a trusted proxy says of it (WAYMARK_TRUSTED_PROXIES)."""
    return request.client.host if request.client else "unknown"


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

    def __init__(self, app: ASGIApp, sign_in: SignIn, public: str) -> None:
        self._app = app
        self._sign_in = sign_in
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        answer: Any = await self._refusal(Request(scope)) or self._app
        await answer(scope, receive, send)

    async def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that may not pass; else the session is left on it."""
        if request.method not in _SAFE_METHODS and not is_same_origin(request.headers, self._public):
            return HTMLResponse(rendered("notice.html", "", title="Not from here", text=_CROSS_ORIGIN), 403)
        path = request.scope["path"]
        if path in _PUBLIC_PAGES:
            return None
        try:
            request.state.signed_in = await self._sign_in.session_of(request)
        except Exception as error:
            if not is_infrastructure(error):
                raise
            _log.warning("sessions_not_read", error=repr(error))
            return HTMLResponse(
                rendered("notice.html", "", title="Not now", text=_NO_DATABASE), 503, {"Retry-After": "5"}
            )
        if request.state.signed_in is not None:
            return None
        wanted = f"{path}?{request.url.query}" if request.url.query else path
        return RedirectResponse(link("/console/sign-in", next="" if wanted == "/console/" else wanted), 303)


_CROSS_ORIGIN = "This form was not sent from a page of this console, so nothing was done."
_NO_DATABASE = "The database does not answer, so nobody can be recognised. Try again in a moment."
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
    return await _try_key(request, key, next)


async def enter(request: Request, key: str = "", next: str = "") -> Response:  # noqa: A002
    """The link that `make demo` prints."""
    if not _loopback(request.app.state.host):
        return _form("", _NOT_LOOPBACK, 403)
    response = await _try_key(request, key, next)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


async def sign_out(request: Request, everywhere: Annotated[bool, Form()] = False) -> Response:
    """End this session; `everywhere`: every session of this key."""
    of_app, signed_in = _sign_in_of(request), _signed_in_of(request)
    ids = [signed_in.session.id]
    if everywhere:
        ids = [one.id for one, key in await of_app.visible_to(signed_in) if key.id == signed_in.key.id]
    await of_app.end(ids, signed_in)
    response = RedirectResponse("/console/sign-in", 303)
    of_app.forget_cookie(request, response)
    return response


async def list_sessions(request: Request) -> HTMLResponse:
    """Who is signed in: with this key, to an admin with any."""
    of_app, signed_in = _sign_in_of(request), _signed_in_of(request)
    found = await of_app.visible_to(signed_in)
    path = request.scope["path"]
    return HTMLResponse(rendered("sessions.html", path, session=signed_in.key, found=found, own=signed_in.session.id))


async def end_session(request: Request, session: str) -> Response:
    """End one of them."""
    of_app, signed_in = _sign_in_of(request), _signed_in_of(request)
    ids = [one.id for one, _ in await of_app.visible_to(signed_in) if one.id == session]
    if not ids:
        text = "It has ended already, or was started with another key."
        return HTMLResponse(rendered("notice.html", "", title="No such session", text=text), 404)
    await of_app.end(ids, signed_in)
    return RedirectResponse("/console/sessions", 303)


async def style() -> Response:
    """The one style sheet; its address changes with its content."""
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=31536000, immutable"})


async def _try_key(request: Request, text: str, wanted: str) -> Response:
    of_app, address, text = _sign_in_of(request), address_of(request), text.strip()
    seconds = await of_app.attempt(address)
    if seconds:
        _log.warning("sign_in_throttled", address=address)
        return _too_many(wanted, address, seconds)
    key = of_app.key_of(text, address)
    if key is None:
        _log.warning("sign_in_refused", address=address)
        return _form(wanted, _UNKNOWN_KEY, 401)
    response = RedirectResponse(safe_next(wanted), 303)
    await of_app.start(request, response, key, text)
    return response


def _too_many(wanted: str, address: str, seconds: int) -> HTMLResponse:
    """Says which address counts: behind a proxy that is not named in WAYMARK_TRUSTED_PROXIES it is the proxy's, for everybody."""
    problem = f"Too many keys were tried from {address}, or from everywhere together. Try again in {seconds} seconds."
    response = _form(wanted, problem, 429)
    response.headers["Retry-After"] = str(seconds)
    return response


def _form(wanted: str, problem: str = "", status: int = 200, *, turn: bool = False) -> HTMLResponse:
    to = safe_next(wanted)
    return HTMLResponse(rendered("sign_in.html", "", wanted=to, problem=problem, turn=turn), status)


def _sign_in_of(request: Request) -> SignIn:
    found: SignIn = request.app.state.sign_in
    return found


def _signed_in_of(request: Request) -> SignedIn:
    found: SignedIn = request.state.signed_in
    return found


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
