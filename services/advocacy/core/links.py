"""Did we write this link, for this purpose, and is it still good? Signed, opaque, with nothing of a person in it."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from services.advocacy.core.decisions import Invitation
from services.advocacy.core.refusal import Refused

_VERSION = "v1"
_LONGEST = 512


def signed(secret: bytes, purpose: str, subject: str, until: datetime) -> str:
    """The token of a link: `v1.KEY.PAYLOAD.MAC`. Each purpose has a key of its own."""
    key = _key(secret, purpose)
    said = f"{_VERSION}.{_name(key)}.{_text(f'{int(until.timestamp())}:{subject}'.encode())}"
    return f"{said}.{_mac(key, said)}"


def subject(secret: bytes, purpose: str, token: str, now: datetime) -> str:
    """Whom the link is about. Raises Refused: `unknown` for one we did not sign, `closed` for one that expired."""
    key = _key(secret, purpose)
    said, _, mac = token.rpartition(".")
    if len(token) > _LONGEST or not token.isascii() or not hmac.compare_digest(mac, _mac(key, said)):
        raise Refused("unknown", "This address is not one of ours: perhaps a part of it was lost on the way.")
    until, _, about = _bytes(said.rpartition(".")[2]).decode().partition(":")
    if now >= datetime.fromtimestamp(int(until), UTC):
        raise Refused("closed", "This link has expired.")
    return about


def _key(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, f"waymark link {purpose}".encode(), sha256)


def _name(key: bytes) -> str:
    """Which key it was, for the day there are two."""
    return sha256(b"name" + key).hexdigest()[:6]


def _mac(key: bytes, said: str) -> str:
    return _text(hmac.digest(key, said.encode(), sha256))


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """Read only after the signature was found good."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


_PAGE: dict[str, str] = {"survey": "s", "referral": "r"}
_LONGER: dict[str, timedelta] = {"survey": timedelta(), "referral": timedelta(days=365)}
"""An advocate may look up their code for a year; whether an ask is still open stands in its row."""


def address(public: str, secret: bytes, invitation: Invitation) -> str:
    """The page of this invitation."""
    until = invitation.closes_at + _LONGER[invitation.purpose]
    token = signed(secret, invitation.purpose, invitation.id, until)
    return f"{public}/advocacy/{_PAGE[invitation.purpose]}/{token}"
