"""Signatures of feedback webhooks: whether the provider sent what somebody posts with a key of ours.

Three schemes are HMAC-SHA256: Standard Webhooks (also Svix, so Resend), Mailgun's, and a header with the HMAC of the body.
Mailgun signs a time and a token, not the report: it says who sent it, and not that nothing was altered on the way. SendGrid signs
with a key of which we know the public half (ECDSA). Amazon SNS names in each message where its certificate is to be fetched: we
open no address that a request names, so its signature is not checked.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

Scheme = Literal["standard", "mailgun", "sendgrid", "header"]
_FRESH = timedelta(minutes=5)
_REPEATED = timedelta(days=1)
"""Mailgun goes on trying for eight hours, SendGrid for a day."""
_SENDGRID = "x-twilio-email-event-webhook"
_LEAST_SECRET = 16


class Signer(NamedTuple):
    """Who may sign: how, with which secret (SendGrid's public key), and in which header where the scheme leaves that open."""

    scheme: Scheme
    secret: bytes
    header: str = ""


def read_signers(text: str) -> list[Signer]:
    """`standard:whsec_...`, `mailgun:KEY`, `sendgrid:PUBLIC_KEY` and `header:NAME:SECRET`, comma-separated. Raises ValueError for anything else."""
    return [_signer(part.strip()) for part in text.split(",") if part.strip()]


def _signer(text: str) -> Signer:
    scheme, _, rest = text.partition(":")
    match scheme:
        case "standard":
            try:
                return Signer(scheme, _long_enough(base64.b64decode(rest.removeprefix("whsec_"), validate=True)))
            except binascii.Error:
                raise ValueError("the secret of 'standard' is base64, as whsec_...") from None
        case "mailgun":
            return Signer(scheme, _long_enough(rest.encode()))
        case "sendgrid":
            return Signer(scheme, _public_key(rest))
        case "sns":
            raise ValueError(
                "the signatures of Amazon SNS are not checked: each names where its certificate is to be fetched"
            )
        case "header":
            name, _, secret = rest.partition(":")
            if not name:
                raise ValueError("write header:NAME:SECRET")
            return Signer(scheme, _long_enough(secret.encode()), name.lower())
        case _:
            raise ValueError(f"'{scheme[:20]}' is not one of standard, mailgun, sendgrid, header")


def _public_key(text: str) -> bytes:
    """SendGrid's verification key as its page shows it: base64 of DER."""
    try:
        key = base64.b64decode(text, validate=True)
        if isinstance(load_der_public_key(key), EllipticCurvePublicKey):
            return key
    except (ValueError, UnsupportedAlgorithm):
        pass
    raise ValueError("the key of 'sendgrid' is the verification key of its Event Webhook, in base64")


def _long_enough(secret: bytes) -> bytes:
    if len(secret) < _LEAST_SECRET:
        raise ValueError(f"a secret has {_LEAST_SECRET} bytes at least")
    return secret


def is_signed(signers: Iterable[Signer], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether any of them has signed it. Names of headers are in lower case."""
    return any(_has_signed(signer, headers, body, now) for signer in signers)


def _has_signed(signer: Signer, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    match signer.scheme:
        case "standard":
            return any(_standard(signer.secret, headers, prefix, body, now) for prefix in ("webhook", "svix"))
        case "mailgun":
            return _mailgun(signer.secret, body, now)
        case "sendgrid":
            return _sendgrid(signer.secret, headers, body, now)
        case "header":
            expected = _hmac(signer.secret, body)
            given = headers.get(signer.header, "").strip().removeprefix("sha256=")
            return _same([given.lower()], expected.hex()) or _same([given], base64.b64encode(expected).decode())


def _standard(secret: bytes, headers: Mapping[str, str], prefix: str, body: bytes, now: datetime) -> bool:
    message, at, given = (headers.get(f"{prefix}-{name}", "") for name in ("id", "timestamp", "signature"))
    signed = base64.b64encode(_hmac(secret, f"{message}.{at}.".encode() + body)).decode()
    versions = (one.partition(",") for one in given.split())
    return _is_about(at, now, _FRESH) and _same([text for version, _, text in versions if version == "v1"], signed)


def _mailgun(secret: bytes, body: bytes, now: datetime) -> bool:
    try:
        told: Any = json.loads(body)
    except (ValueError, RecursionError):
        return False
    signature = told.get("signature") if isinstance(told, dict) else None
    if not isinstance(signature, dict):
        return False
    at, token, given = (str(signature.get(name) or "") for name in ("timestamp", "token", "signature"))
    return _is_about(at, now, _REPEATED) and _same([given.lower()], _hmac(secret, f"{at}{token}".encode()).hex())


def _sendgrid(public_key: bytes, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    at, given = headers.get(f"{_SENDGRID}-timestamp", ""), headers.get(f"{_SENDGRID}-signature", "")
    key = load_der_public_key(public_key)
    if not isinstance(key, EllipticCurvePublicKey) or not _is_about(at, now, _REPEATED):
        return False
    try:
        key.verify(base64.b64decode(given, validate=True), at.encode() + body, ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        return False
    return True


def _is_about(seconds: str, now: datetime, tolerance: timedelta) -> bool:
    plain = seconds.isascii() and seconds.isdecimal() and len(seconds) < 12
    return plain and abs(int(seconds) - now.timestamp()) <= tolerance.total_seconds()


def _hmac(secret: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, content, "sha256")


def _same(given: Sequence[str], expected: str) -> bool:
    return any(hmac.compare_digest(one.encode("utf8", "replace"), expected.encode()) for one in given)
