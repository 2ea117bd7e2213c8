"""Signed links, `v1.kid.payload.mac`: HMAC-SHA256, for one purpose, with a time to expire.

Every purpose has a key of its own, derived from the installation's secret, so a survey link is no unsubscribe link.
There is no algorithm to choose in a link, and nothing of it is read before its signature holds. It carries opaque
ids only, never a name or an address: links end up in logs and proxies.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

_VERSION = "v1"
_LONGEST = 2048


class BadLink(Exception):  # noqa: N818  what the reader of the page is told
    """The link is not ours, was changed, is of another purpose, or its time is over (`expired`)."""

    def __init__(self, *, expired: bool = False) -> None:
        super().__init__("this link has expired" if expired else "this link is not valid")
        self.expired = expired


class _Signed(msgspec.Struct, frozen=True, array_like=True):
    subject: dict[str, str]
    expires: int | None


class Links:
    """Makes and checks links. The first secret signs, all of them are accepted: put a new one in front to rotate."""

    def __init__(self, *secrets: bytes) -> None:
        if not secrets or any(len(secret) < 16 for secret in secrets):
            raise ValueError("a secret of at least 16 bytes")
        self._secrets = {_kid(secret): secret for secret in secrets}
        self._current = _kid(secrets[0])

    def sign(self, purpose: str, subject: Mapping[str, str], expires_at: datetime | None = None) -> str:
        """A token that says who and what, for this purpose only."""
        expires = int(expires_at.timestamp()) if expires_at else None
        payload = _text(msgspec.json.encode(_Signed(dict(sorted(subject.items())), expires)))
        return f"{_VERSION}.{self._current}.{payload}.{self._mac(self._current, purpose, payload)}"

    def read(self, purpose: str, token: str, now: datetime) -> dict[str, str]:
        """Whom it is about. Raises BadLink."""
        version, kid, payload, mac = self._fields_of(token)
        expected = self._mac(kid, purpose, payload) if kid in self._secrets else ""
        if version != _VERSION or not expected or not hmac.compare_digest(expected.encode(), mac.encode()):
            raise BadLink
        signed = msgspec.json.decode(_bytes(payload), type=_Signed)
        if signed.expires is not None and now >= datetime.fromtimestamp(signed.expires, UTC):
            raise BadLink(expired=True)
        return signed.subject

    def _mac(self, kid: str, purpose: str, payload: str) -> str:
        key = hmac.digest(self._secrets[kid], f"waymark link {purpose}".encode(), sha256)
        return _text(hmac.digest(key, f"{purpose}|{_VERSION}.{kid}.{payload}".encode(), sha256))

    @staticmethod
    def _fields_of(token: str) -> list[str]:
        parts = token.split(".") if len(token) <= _LONGEST and token.isascii() else []
        if len(parts) != 4:
            raise BadLink
        return parts


def _kid(secret: bytes) -> str:
    """Names a secret without telling anything of it."""
    return hmac.digest(secret, b"waymark key id", sha256).hex()[:8]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise BadLink from None
