"""How do events come in by HTTP? One plain route in the Segment shape; 200 only when the log has them durably.

No API framework here: SDKs send JSON as text/plain or as a form, want exactly 200, and stop retrying only on an error
body with `code` and `message`. A redirect would lose the body, so paths end with or without a slash.
"""

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.ingest.body import read
from services.ingest.core.accepting import envelope, mended, records
from services.ingest.core.canonical import draft
from services.ingest.core.presenting import presented
from services.ingest.core.shapes import Envelope
from services.ingest.shares import Shares
from shared.bus.protocol import Bus, Outgoing, Record
from shared.clock import Clock
from shared.contracts.topics import USAGE_RAW
from shared.failures import Parked, Refused
from shared.http.bodies import Patience, header
from shared.http.problem import from_error, problem
from shared.keys import Key, Keys

_TYPES = ("track", "identify", "group", "page", "screen", "alias")
_PATHS: dict[str, str | None] = {
    "batch": None,
    "import": None,
    "b": None,
    **{name: name for name in _TYPES},
    **{name[0]: name for name in _TYPES},
}
_METRICS = "m"
"""Where Segment's browser SDK posts how it fares itself: taken and dropped."""
_EVERY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Browsers:
    """ASGI middleware: whoever names an origin is told that any may post; servers name none, and pay nothing for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._told = CORSMiddleware(
            app, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["*"], max_age=86400
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._told if header(scope, b"origin") else self._app
        await app(scope, receive, send)


class Capture:
    """Takes posted events to the raw log."""

    def __init__(
        self, bus: Bus, keys: Keys, clock: Clock, patience: Patience | None = None, shares: Shares | None = None
    ) -> None:
        self._bus = bus
        self._keys = keys
        self._clock = clock
        self._patience = patience or Patience()
        self._shares = shares or Shares()

    def routes(self) -> list[Route]:
        """Everything under /v1 at the root of the host."""
        return [
            Route("/v1/projects/{key}/settings", self.settings, methods=["GET"], middleware=[Middleware(Browsers)]),
            Route("/v1/{path:path}", self.answer, methods=_EVERY, middleware=[Middleware(Browsers)]),
        ]

    async def answer(self, request: Request) -> Response:
        """Take what is posted; say what may be posted where."""
        path = request.path_params["path"].rstrip("/")
        if path not in _PATHS and path != _METRICS:
            return problem(404, "not_found", f"there is no /v1/{path[:80]}; post events to /v1/batch")
        if request.method != "POST":
            return problem(405, "method_not_allowed", f"POST events to /v1/{path}", {"Allow": "POST, OPTIONS"})
        try:
            accepted = await self._take(request, path)
        except Exception as error:  # noqa: BLE001  every error becomes a body that stops an SDK from retrying for ever
            return from_error(error)
        return Response(b'{"success":true,"accepted":%d}' % accepted, media_type="application/json")

    async def settings(self, request: Request) -> Response:
        """What Segment's browser and Swift SDKs ask for at their start."""
        key = request.path_params["key"]
        if not self._keys.find(key, ("write",)):
            return problem(404, "unknown_key", "this write key is not known here")
        return JSONResponse({"integrations": {"Segment.io": {"apiKey": key}}, "metrics": {"sampleRate": 0}})

    async def _take(self, request: Request, path: str) -> int:
        body = await read(request, self._patience)
        if path == _METRICS:
            return 0
        name, raw = self._records(request, path, body)
        del body
        if _asked(request, "strict") == "true":
            _judge(raw)
        if raw:
            with self._shares.waiting(name, raw):
                await self._bus.publish(USAGE_RAW.name, raw)
        return len(raw)

    def _records(self, request: Request, path: str, body: bytes) -> tuple[str, list[Outgoing]]:
        """The write key's name and the raw records.

        While the log is waited for only these are kept: the body and what was read of it would be as much again.
        """
        found, body = _opened(body)
        key = self._key(request, found)
        return key.name, list(records(found, body, key.name, _PATHS[path], self._clock.now()))

    def _key(self, request: Request, found: Envelope) -> Key:
        """Raises Refused (401) when no write key is given, or the first one given is not one of ours."""
        authorization = header(request.scope, b"authorization").decode("latin1")
        given = presented(authorization, _asked(request, "writeKey"), found.writeKey or "")
        if not given:
            raise Refused("send a write key: Basic user name, ?writeKey=, or writeKey in the body", "no_key", 401)
        key = self._keys.find(given, ("write",))
        if key is None:
            raise Refused("this write key is not known here", "unknown_key", 401)
        return key


def _asked(request: Request, name: str) -> str:
    """A parameter of the query, empty where there is none."""
    return request.query_params.get(name, "") if request.scope["query_string"] else ""


def _opened(body: bytes) -> tuple[Envelope, bytes]:
    """The body's envelope, and the body; where half a character spoils it, that is replaced."""
    try:
        return envelope(body), body
    except Refused as why:
        whole = mended(body) if why.code == "bad_json" else body
        if whole == body:
            raise
        return envelope(whole), whole


def _judge(raw: list[Outgoing]) -> None:
    """For a client that asked for it: refuse the whole body when one event would be parked."""
    for index, (key, value, meta) in enumerate(raw):
        try:
            draft(Record(0, -1, 0, key, value, meta))
        except Parked as why:
            raise Refused(f"event {index}: {why}", why.code) from None
