"""Authorization by API key: the dependency of a route, `Depends(require_key(keys, "read"))`."""

from collections.abc import Callable

from starlette.requests import HTTPConnection

from shared.failures import Refused
from shared.keys import KINDS, Key, Keys, Kind

_ACCEPTED: dict[Kind, tuple[Kind, ...]] = {"read": ("read", "admin"), "admin": ("admin",)}


def require_key(keys: Keys, kind: Kind) -> Callable[[HTTPConnection], Key]:
    """The caller, with a key of this kind (`Authorization: Bearer`, or `X-Api-Key`). Admins may read."""

    def check(request: HTTPConnection) -> Key:
        presented = presented_key(request)
        if not presented:
            raise Refused("send an API key: Authorization: Bearer KEY", "no_key", 401)
        key = keys.find(presented, _ACCEPTED.get(kind, (kind,)))
        if key is not None:
            return key
        if keys.find(presented, KINDS):
            raise Refused(f"this key is valid, but not for this: it takes one of kind {kind}", "wrong_kind", 403)
        raise Refused("this key is not known here", "unknown_key", 401)

    return check


def presented_key(request: HTTPConnection) -> str:
    """The key in the headers, or empty."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return request.headers.get("x-api-key", "")
