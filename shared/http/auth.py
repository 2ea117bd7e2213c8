"""Authorization by API key: the dependency of a route, `Depends(require_key(keys, "read"))`."""

import base64
from collections.abc import Callable, Sequence

from starlette.requests import HTTPConnection
from starlette.responses import Response

from shared.failures import Refused
from shared.http.problem import problem
from shared.keys import KINDS, Key, Keys, Kind

_ACCEPTED: dict[Kind, tuple[Kind, ...]] = {"read": ("read", "admin"), "admin": ("admin",)}


def require_key(keys: Keys, kind: Kind) -> Callable[[HTTPConnection], Key]:
    """The caller, with a key of this kind (`Authorization: Bearer`, or `X-Api-Key`). Admins may read."""

    def check(request: HTTPConnection) -> Key:
        return _accepted(keys, presented_key(request), kind)

    return check


def require_caller(keys: Keys, kinds: Sequence[Kind]) -> Callable[[HTTPConnection], Key]:
    """The caller, with a key of one of these kinds, also as the password of HTTP Basic: many tools can do nothing else.

    Browsers send Basic along with any request by themselves, so a request of a page does not pass with it.
    """

    def check(request: HTTPConnection) -> Key:
        of_a_page = "origin" in request.headers or "sec-fetch-site" in request.headers
        presented = presented_key(request) or ("" if of_a_page else _basic_password(request))
        if presented and (key := keys.find(presented, tuple(kinds))):
            return key
        return _accepted(keys, presented, kinds[-1])

    return check


def page_refusal(keys: Keys, request: HTTPConnection) -> Response | None:
    """Why a page stays closed to this request, or None: it takes a key of kind read, also as the password of HTTP Basic.

    For what browsers open and Prometheus scrapes. Data never take Basic: browsers send that along with any request by themselves.
    """
    try:
        _accepted(keys, presented_key(request) or _basic_password(request), "read")
    except Refused as error:
        asked = {"WWW-Authenticate": 'Basic realm="Waymark: any name, an API key as password", charset="UTF-8"'}
        return problem(error.status, error.code, str(error), asked if error.status == 401 else None)
    return None


def _accepted(keys: Keys, presented: str, kind: Kind) -> Key:
    if not presented:
        raise Refused("send an API key: Authorization: Bearer KEY", "no_key", 401)
    key = keys.find(presented, _ACCEPTED.get(kind, (kind,)))
    if key is not None:
        return key
    if keys.find(presented, KINDS):
        raise Refused(f"this key is valid, but not for this: it takes one of kind {kind}", "wrong_kind", 403)
    raise Refused("this key is not known here", "unknown_key", 401)


def presented_key(request: HTTPConnection) -> str:
    """The key in the headers, or empty."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return request.headers.get("x-api-key", "")


def _basic_password(request: HTTPConnection) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        return base64.b64decode(token, validate=True).decode().partition(":")[2] if scheme.lower() == "basic" else ""
    except ValueError:
        return ""
