"""Capture API: POST endpoints in Segment's shape; answers 200 only when the log has the events durably.

No API framework here: SDKs send JSON as text/plain or as a form, want exactly 200, and stop retrying only on an error
body with `code` and `message`. A redirect would lose the body, so paths end with or without a slash.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import NamedTuple

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.ingest.admission import FairShare, Newcomers, SourceRates, TokenBucket
from services.ingest.core.canonical import canonical_event
from services.ingest.core.segment import (
    Envelope,
    credentials_in_head,
    identities,
    parse_envelope,
    parse_unclean_envelope,
    raw_records,
    write_keys_in,
)
from shared.access.keys import KeyRefresh, looks_issued
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
_GZIP_RATIO = 1032
"""A byte inflates to so many at most."""
_INFLATED_FOR_NOBODY = (64 * MIB, 60.0)
"""Bytes in so many seconds that are inflated for senders who turn out to have no key of ours."""
_PARSED_FOR_ANYBODY = 128 * 1024
"""Bytes that cost nothing to parse: who forgot the key and the end of the JSON is told both."""
_NOT_INFLATED = "too many compressed bodies came without a known key: retry later, or send it as the Basic user name"
_TOO_MANY_KEYLESS = "too many large bodies whose head names no key: retry later, or send it as the Basic user name"
_NO_WRITE_KEY = (
    "this is a key to read or to administer with: events take a write key, of kind server, browser or import"
)
_REFUSED = "waymark.origin_refused"
"""Marks the scope of a request whose key may not be used from its origin."""


class CorsForBrowsers:
    """ASGI middleware: CORS for requests with an Origin; servers send none, and pay nothing for it.

    A preflight says at most the key of the query: without one it is refused where no key may be used from its origin. An
    answer to a request whose own key may not be is not for that page to read.
    """

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys
        self._with_cors = CORSMiddleware(
            app, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["*"], max_age=86400
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = header(scope, b"origin").decode("latin1")
        if not origin:
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and not self._admits(scope, origin):
            await from_error(_origin_refused(origin))(scope, receive, send)
        else:
            await self._with_cors(scope, receive, partial(_send_if_admitted, scope, send))

    def _admits(self, scope: Scope, origin: str) -> bool:
        key = self._keys.find(_query_parameter(Request(scope), "writeKey"), SOURCE_KINDS)
        return key.admits(origin) if key is not None else self._keys.admits(origin)


def _seconds() -> float:
    return asyncio.get_running_loop().time()


async def _send_if_admitted(scope: Scope, send: Send, message: Message) -> None:
    if message["type"] == "http.response.start" and _REFUSED in scope:
        del MutableHeaders(scope=message)["access-control-allow-origin"]
    await send(message)


def _origin_refused(origin: str) -> Refused:
    return Refused(
        f"the origin {ascii(origin)[1:81]} is not one that this write key may be used from", "origin_not_allowed", 403
    )


class KeylessBodies:
    """Memory for bodies whose head names no key: of all of them together at most `most` bytes past the first `free` of each.

    Whoever has no key can hold these, slowly, and nothing of what others need: posts with a key in the head, and small ones.
    """

    def __init__(self, most: int = 32 * MIB, free: int = 256 * 1024) -> None:
        self._most = most
        self._free = free
        self._held = 0

    @contextmanager
    def counted(self, receive: Receive) -> Iterator[Receive]:
        """The body, piece by piece, counted until the block ends. A piece too much raises Refused (429)."""
        size = held = 0

        async def next_piece() -> Message:
            nonlocal size, held
            message = await receive()
            size += len(message.get("body", b""))
            more = max(0, size - self._free) - held
            if more and self._held + more > self._most:
                raise Refused(_TOO_MANY_KEYLESS, "too_many_requests", 429)
            held += more
            self._held += more
            return message

        try:
            yield next_piece
        finally:
            self._held -= held


class Sender(NamedTuple):
    """Who posts: the key, and its text, which is stored nowhere."""

    key: Key
    text: str


class CaptureApi:
    """The routes that take events to the raw log."""

    def __init__(
        self,
        bus: Bus,
        keys: Keys,
        clock: Clock,
        timeouts: BodyTimeouts | None = None,
        fair_share: FairShare | None = None,
        refresh: KeyRefresh | None = None,
        rates: SourceRates | None = None,
        newcomers: Newcomers | None = None,
    ) -> None:
        self._bus = bus
        self._keys = keys
        self._clock = clock
        self._patience = timeouts or BodyTimeouts()
        self._fair_share = fair_share or FairShare()
        self._refresh = refresh
        self._rates = rates or SourceRates({})
        self._newcomers = newcomers
        self._keyless = KeylessBodies()
        self._inflated_for_nobody = TokenBucket(*_INFLATED_FOR_NOBODY)

    def routes(self) -> list[Route]:
        """Everything under /v1 at the root of the host."""
        middleware = [Middleware(CorsForBrowsers, keys=self._keys)]
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
        text = request.path_params["key"]
        try:
            await self._sender(request, text)
        except Refused as why:
            return problem(404, why.code, str(why)) if why.status == 401 else from_error(why)
        return JSONResponse({"integrations": {"Segment.io": {"apiKey": text}}, "metrics": {"sampleRate": 0}})

    async def _accept(self, request: Request, path: str) -> int:
        if path == _SDK_METRICS:
            await read_body(request.scope, request.receive, MIB, self._patience)
            return 0
        sender, raw = await self._records(request, path)
        if _query_parameter(request, "strict") == "true":
            _refuse_invalid(raw)
        if self._newcomers is not None and self._rates.limits_newcomers(sender.key):
            new = await self._newcomers.among(identities(raw))
            self._rates.take_newcomers(sender.key, len(new.accounts), len(new.users), _seconds())
            self._newcomers.note(new)
        if raw:
            with self._fair_share.admit(f"{sender.key.kind}:{sender.key.name}", raw):
                await self._bus.publish(USAGE_RAW.name, raw)
        return len(raw)

    async def _records(self, request: Request, path: str) -> tuple[Sender, list[ProducerRecord]]:
        """Who posts, and the raw records.

        Who shows no key in the head is looked for in the body before anything is parsed: work is for those who may post.
        While the log is waited for only the records stay in memory: the body and its envelope would be as much again.
        """
        authorization = header(request.scope, b"authorization").decode("latin1")
        head = credentials_in_head(authorization, _query_parameter(request, "writeKey"))
        sender = await self._sender(request, head.deciding) if head.deciding else None
        if sender is not None:
            self._rates.check(sender.key, _seconds())
        if sender is None:
            known = head.bearer and self._keys.find(head.bearer, SOURCE_KINDS)
            with nullcontext(request.receive) if known else self._keyless.counted(request.receive) as receive:
                body = await read_body(request.scope, receive, _MAX_BODY, self._patience)
                body = await self._body_with_known_key(request, body, head.bearer)
        else:
            body = await read_body(request.scope, request.receive, _MAX_BODY, self._patience)
            body = self._plain(body, sender.key)
        envelope, body = await _envelope_of(body)
        if sender is None:
            sender = await self._sender(request, envelope.writeKey or head.bearer)
        now = self._clock.now()
        key = sender.key
        raw = list(raw_records(envelope, body, source_of(key), _PATHS[path], now, sender.text, key.times))
        self._rates.take(sender.key, events=len(raw))
        return sender, raw

    async def _body_with_known_key(self, request: Request, body: bytes, bearer: str) -> bytes:
        """The body, inflated, of a request whose head does not decide. Raises Refused where neither has a known key."""
        key = self._keys.find(bearer, SOURCE_KINDS) if bearer else None
        if key is not None:
            self._rates.check(key, _seconds())
            return self._plain(body, key)
        zipped = body[:2] == _GZIP_MAGIC
        if zipped:
            if wait := self._inflated_for_nobody.seconds_to_wait(_seconds()):
                raise Refused(_NOT_INFLATED, "too_many_requests", 429, wait)
            body = _inflated(body, self._inflated_for_nobody.take)
        named = [*write_keys_in(body), *filter(None, [bearer])]
        key = next(filter(None, (self._keys.find(text, SOURCE_KINDS) for text in named)), None)
        if key is None and len(body) > _PARSED_FOR_ANYBODY:
            await self._sender(request, named[0] if named else "")
        if key is not None:
            if zipped:
                self._inflated_for_nobody.take(-len(body))
            self._rates.check(key, _seconds())
            self._rates.take(key, size=len(body))
        return body

    def _plain(self, body: bytes, key: Key) -> bytes:
        """The body, inflated where it has to be, at the expense of its sender, whatever is in it."""
        if body[:2] == _GZIP_MAGIC:
            return _inflated(body, lambda size: self._rates.take(key, size=size))
        self._rates.take(key, size=len(body))
        return body

    async def _sender(self, request: Request, text: str) -> Sender:
        """Raises Refused: 401 when no write key is given, or it is not one of ours, 403 for an origin it is not used from."""
        if not text:
            raise Refused("send a write key: Basic user name, ?writeKey=, or writeKey in the body", "no_key", 401)
        key = self._keys.find(text, SOURCE_KINDS)
        if key is None and self._refresh is not None and looks_issued(text):
            await self._refresh.refresh_for_unknown()
            key = self._keys.find(text, SOURCE_KINDS)
        if key is None:
            other = self._keys.find(text, ("read", "admin")) is not None
            raise Refused(_NO_WRITE_KEY if other else "this write key is not known here", "unknown_key", 401)
        if key.origins and (origin := header(request.scope, b"origin").decode("latin1")) and not key.admits(origin):
            request.scope[_REFUSED] = True
            raise _origin_refused(origin)
        return Sender(key, text)


def _inflated(body: bytes, charge: Callable[[int], None]) -> bytes:
    """Charged before it is done, and what it did not need given back: one that ends in an error has cost the same."""
    most = min(_MAX_INFLATED, len(body) * _GZIP_RATIO)
    charge(most)
    plain = gunzip(body)
    charge(len(plain) - most)
    return plain


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
