"""Who is signed in? An API key in a signed cookie, checked anew at every request."""

from datetime import timedelta
from typing import Literal, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from shared.clock import Clock
from shared.keys import Keys
from shared.links import BadLink, Links

_COOKIE = "waymark_console"
_PURPOSE = "console"
_LASTS = timedelta(hours=12)


class Session(NamedTuple):
    """The operator's key, and what it may do."""

    key: str
    kind: Literal["read", "admin"]


class Sessions:
    """Begins and ends them. `secure`: the cookie travels over TLS only."""

    def __init__(self, links: Links, keys: Keys, clock: Clock, *, secure: bool) -> None:
        self._links = links
        self._keys = keys
        self._clock = clock
        self._secure = secure

    def known(self, key: str) -> Session | None:
        """What this key may do here; None for one that is not known, or only writes."""
        if self._keys.find(key, ("admin",)):
            return Session(key, "admin")
        return Session(key, "read") if self._keys.find(key, ("read",)) else None

    def of(self, request: Request) -> Session | None:
        """The session of a request: a key that was withdrawn ends it."""
        try:
            subject = self._links.read(_PURPOSE, request.cookies.get(_COOKIE, ""), self._clock.now())
        except BadLink:
            return None
        return self.known(subject.get("key", ""))

    def begin(self, response: Response, session: Session) -> None:
        """Give the cookie."""
        token = self._links.sign(_PURPOSE, {"key": session.key}, self._clock.now() + _LASTS)
        response.set_cookie(
            _COOKIE,
            token,
            max_age=int(_LASTS.total_seconds()),
            path="/console",
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )

    def end(self, response: Response) -> None:
        """Take the cookie back."""
        response.delete_cookie(_COOKIE, path="/console", secure=self._secure, httponly=True, samesite="strict")
