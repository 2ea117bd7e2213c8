"""Capture API: POST endpoints in Segment's shape; answers 200 only when the log has the events durably.

No API framework here: SDKs send JSON as text/plain or as a form, want exactly 200, and stop retrying only on an error
body with `code` and `message`. A redirect would lose the body, so paths end with or without a slash.
"""

import asyncio
import base64
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.ingest.core.canonical import canonical_event
from services.ingest.core.segment import Envelope, parse_envelope, parse_unclean_envelope, raw_records
from shared.bus.producer import MAX_PENDING, Size, size_of
from shared.bus.protocol import Bus, ProducerRecord, Record
from shared.clock import Clock
from shared.contracts.topics import USAGE_RAW
from shared.failures import Parked, Refused
from shared.http.bodies import MIB, BodyTimeouts, header, read_body
from shared.http.problem import from_error, problem
from shared.keys import SOURCE_KINDS, Key, Keys, source_of

_TYPES = ("track", "identify", "group", "page", "screen", "alias")
_PATHS: dict[str, str | None] = {
    "batch": None,
    "import": None,
    "b": None,
    **{name: name for name in _TYPES},
    **{name[0]: name for name in _TYPES},
}
_SDK_METRICS = "m"
"""Where Segment's browser SDK posts metrics of its own: accepted and dropped."""
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_MAX_BODY = 10 * MIB
_MAX_INFLATED = 20 * MIB
_MAX_MENDED = 8 * MIB
"""SDKs send less; looking at every character of more is work that a sender without a key could choose."""
_GZIP_MAGIC = b"\x1f\x8b"


class CorsForBrowsers:
    """ASGI middleware: CORS for requests with an Origin; servers send none, and pay nothing for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._with_cors = CORSMiddleware(
            app, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["*"], max_age=86400
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._with_cors if header(scope, b"origin") else self._app
        await app(scope, receive, send)


class FairShare:
    """Admission control: the records that wait for the log, by write key.

    While less than half of `capacity` waits everybody may send. Beyond, a key that has more than its share (what waits,
    in equal parts for all who wait) is answered 429, so that a flood on one key does not cost the others theirs.
    """

    def __init__(self, capacity: Size = MAX_PENDING) -> None:
        self._capacity = capacity
        self._waiting: dict[str, float] = {}

    @contextmanager
    def admit(self, key_name: str, records: Sequence[ProducerRecord]) -> Iterator[None]:
        """These records wait while the block runs. Raises Refused (429) when others go first."""
        load = self._load(size_of(records))
        of_key = self._waiting.get(key_name, 0.0) + load
        total = sum(self._waiting.values()) + load
        if total > 0.5 and of_key > total / len({*self._waiting, key_name}):
            raise Refused("this write key sends more than its share; retry later", "too_many_requests", 429)
        self._waiting[key_name] = of_key
        try:
            yield
        finally:
            self._release(key_name, load)

    def _release(self, key_name: str, load: float) -> None:
        remaining = self._waiting.pop(key_name) - load
        if remaining > 1e-9:
            self._waiting[key_name] = remaining

    def _load(self, size: Size) -> float:
        """The fraction of the capacity."""
        return max(size.records / self._capacity.records, size.bytes / self._capacity.bytes)


class CaptureApi:
    """The routes that take events to the raw log."""

    def __init__(
        self,
        bus: Bus,
        keys: Keys,
        clock: Clock,
        timeouts: BodyTimeouts | None = None,
        fair_share: FairShare | None = None,
    ) -> None:
        self._bus = bus
        self._keys = keys
        self._clock = clock
        self._patience = timeouts or BodyTimeouts()
        self._fair_share = fair_share or FairShare()

    def routes(self) -> list[Route]:
        """Everything under /v1 at the root of the host."""
        middleware = [Middleware(CorsForBrowsers)]
        return [
            Route("/v1/projects/{key}/settings", self.sdk_settings, methods=["GET"], middleware=middleware),
            Route("/v1/{path:path}", self.capture, methods=_METHODS, middleware=middleware),
        ]

    async def capture(self, request: Request) -> Response:
        """Accept a posted body; for any other request say which paths there are."""
        path = request.path_params["path"].rstrip("/")
        if path not in _PATHS and path != _SDK_METRICS:
            return problem(404, "not_found", f"there is no /v1/{path[:80]}; post events to /v1/batch")
        if request.method != "POST":
            return problem(405, "method_not_allowed", f"POST events to /v1/{path}", {"Allow": "POST, OPTIONS"})
        try:
            accepted = await self._accept(request, path)
        except Exception as error:  # noqa: BLE001  every error becomes a body that stops an SDK from retrying for ever
            return from_error(error)
        return Response(b'{"success":true,"accepted":%d}' % accepted, media_type="application/json")

    async def sdk_settings(self, request: Request) -> Response:
        """What Segment's browser and Swift SDKs ask for at their start."""
        key = request.path_params["key"]
        if not self._keys.find(key, SOURCE_KINDS):
            return problem(404, "unknown_key", "this write key is not known here")
        return JSONResponse({"integrations": {"Segment.io": {"apiKey": key}}, "metrics": {"sampleRate": 0}})

    async def _accept(self, request: Request, path: str) -> int:
        body = await _read_body(request, self._patience)
        if path == _SDK_METRICS:
            return 0
        key_name, raw = await self._records(request, path, body)
        del body
        if _query_parameter(request, "strict") == "true":
            _refuse_invalid(raw)
        if raw:
            with self._fair_share.admit(key_name, raw):
                await self._bus.publish(USAGE_RAW.name, raw)
        return len(raw)

    async def _records(self, request: Request, path: str, body: bytes) -> tuple[str, list[ProducerRecord]]:
        """The write key's name and the raw records.

        While the log is waited for only these stay in memory: the body and its envelope would be as much again.
        """
        envelope, body = await _envelope_of(body)
        key = self._authenticate(request, envelope)
        return key.name, list(raw_records(envelope, body, source_of(key), _PATHS[path], self._clock.now()))

    def _authenticate(self, request: Request, envelope: Envelope) -> Key:
        """Raises Refused (401) when no write key is given, or the first one given is not one of ours."""
        authorization = header(request.scope, b"authorization").decode("latin1")
        given = write_key_of(authorization, _query_parameter(request, "writeKey"), envelope.writeKey or "")
        if not given:
            raise Refused("send a write key: Basic user name, ?writeKey=, or writeKey in the body", "no_key", 401)
        key = self._keys.find(given, SOURCE_KINDS)
        if key is None:
            raise Refused("this write key is not known here", "unknown_key", 401)
        return key


def write_key_of(authorization: str, query: str, body: str) -> str:
    """The request's credentials: SDKs put the write key in four places, and mean it in this order.

    Basic user name, `?writeKey=`, `writeKey` in the body, and last Bearer, which may be an OAuth token beside them.
    """
    scheme, _, token = authorization.partition(" ")
    scheme = scheme.lower()
    basic = _basic_user_name(token.strip()) if scheme == "basic" else ""
    bearer = token.strip() if scheme == "bearer" else ""
    return basic or query or body or bearer


def _basic_user_name(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


def gunzip(body: bytes) -> bytes:
    """Gzip undone, within the limit whatever the header claims. Raises Refused for broken or oversized content."""
    decompressor = zlib.decompressobj(31)
    try:
        plain = decompressor.decompress(body, _MAX_INFLATED + 1)
    except zlib.error as error:
        raise Refused(f"the gzip body is broken: {error}", "bad_gzip") from None
    if len(plain) > _MAX_INFLATED:
        raise Refused(f"the body inflates to over {_MAX_INFLATED} bytes", "too_large", 413)
    if not decompressor.eof:
        raise Refused("the gzip body is cut short", "bad_gzip")
    if decompressor.unused_data:
        raise Refused("something follows the end of the gzip body", "bad_gzip")
    return plain


async def _read_body(request: Request, timeouts: BodyTimeouts) -> bytes:
    """The body. Raises Refused: 413 beyond 10 MiB as sent or 20 MiB inflated, 408 when it is slow, 400 for broken gzip."""
    body = await read_body(request.scope, request.receive, _MAX_BODY, timeouts)
    return gunzip(body) if body[:2] == _GZIP_MAGIC else body


def _query_parameter(request: Request, name: str) -> str:
    """A parameter of the query, empty where there is none."""
    return request.query_params.get(name, "") if request.scope["query_string"] else ""


async def _envelope_of(body: bytes) -> tuple[Envelope, bytes]:
    """The body's envelope, and the body, mended where it had to be: in a thread, for that looks at every character."""
    try:
        return parse_envelope(body), body
    except Refused as why:
        if why.code not in {"bad_json", "too_deep"} or len(body) > _MAX_MENDED:
            raise
    return await asyncio.to_thread(parse_unclean_envelope, body)


def _refuse_invalid(raw: list[ProducerRecord]) -> None:
    """For a client that asked for it: refuse the whole body when one event would be parked."""
    for index, (key, value, meta) in enumerate(raw):
        try:
            canonical_event(Record(0, -1, 0, key, value, meta))
        except Parked as why:
            raise Refused(f"event {index}: {why}", why.code) from None
