"""How do events come in by HTTP? Plain routes in the Segment shape; 200 only when the log has them durably.

No API framework here: SDKs send JSON as text/plain or as a form, want exactly 200, and stop retrying only on an error
body with `code` and `message`.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.ingest.body import read
from services.ingest.core.accepting import envelope, records
from services.ingest.core.canonical import draft
from services.ingest.core.shapes import Envelope
from shared.bus.protocol import Bus, Outgoing, Record
from shared.clock import Clock
from shared.contracts.topics import USAGE_RAW
from shared.failures import Failure, Parked, Refused
from shared.http.problem import from_error
from shared.keys import Key, Keys

_TYPES = ("track", "identify", "group", "page", "screen", "alias")
_PATHS: dict[str, str | None] = {
    "batch": None,
    "import": None,
    "b": None,
    **{name: name for name in _TYPES},
    **{name[0]: name for name in _TYPES},
}
Answer = Callable[[Request], Awaitable[Response]]


class Capture:
    """Takes posted events to the raw log."""

    def __init__(self, bus: Bus, keys: Keys, clock: Clock) -> None:
        self._bus = bus
        self._keys = keys
        self._clock = clock

    def routes(self) -> list[Route]:
        """Every path SDKs post to, with and without a trailing slash: a redirect would lose the body."""
        cors = [
            Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["POST"], allow_headers=["*"], max_age=86400)
        ]
        return [
            Route(f"/v1/{path}{slash}", self._answer(kind), methods=["POST", "OPTIONS"], middleware=cors)
            for path, kind in _PATHS.items()
            for slash in ("", "/")
        ]

    def _answer(self, path_type: str | None) -> Answer:
        async def answer(request: Request) -> Response:
            try:
                accepted = await self._take(request, path_type)
            except Exception as error:  # noqa: BLE001  every error becomes a body that stops an SDK from retrying for ever
                return from_error(error)
            return JSONResponse({"success": True, "accepted": accepted})

        return answer

    async def _take(self, request: Request, path_type: str | None) -> int:
        body = await read(request)
        found = envelope(body)
        key = self._key(request, found)
        raw = list(records(found, body, key.name, path_type, self._clock.now()))
        if request.query_params.get("strict") == "true":
            _judge(raw)
        if raw:
            await self._bus.publish(USAGE_RAW.name, raw)
        return len(raw)

    def _key(self, request: Request, found: Envelope) -> Key:
        """Raises Refused (401) when no write key is given, or it is not one of ours."""
        for presented in _presented(request, found):
            key = self._keys.find(presented, ("write",))
            if key is not None:
                return key
            raise Refused("this write key is not known here", "unknown_key", 401)
        raise Refused("send a write key: Basic user name, ?writeKey=, or writeKey in the body", "no_key", 401)


def _presented(request: Request, found: Envelope) -> list[str]:
    """Where SDKs put the key, in the order in which it is trusted."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    basic = _basic(token) if scheme.lower() == "basic" else ""
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return [key for key in (basic, request.query_params.get("writeKey", ""), found.writeKey or "", bearer) if key]


def _basic(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _judge(raw: list[Outgoing]) -> None:
    """For a client that asked for it: refuse the whole body when one event would be parked."""
    for index, (key, value, meta) in enumerate(raw):
        try:
            draft(Record(0, -1, 0, key, value, meta))
        except (Parked, ValueError) as why:
            code = why.code if isinstance(why, Failure) else "bad_shape"
            raise Refused(f"event {index}: {why}", code) from None
