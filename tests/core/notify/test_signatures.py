"""Signatures of feedback webhooks: what a provider signed is told from what somebody wrote who found the key."""

import base64
import hmac
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from standardwebhooks import Webhook

from services.notify.core.signatures import is_signed, read_signers
from tests.make import NOON

BODY = b'{"type": "bounce", "address": "ann@acme.test"}'
SECRET = "a secret of thirty two characters"
WHSEC = "whsec_" + base64.b64encode(SECRET.encode()).decode()
TWILIO = "x-twilio-email-event-webhook"
AT = str(int(NOON.timestamp()))


@pytest.mark.parametrize("prefix", ["webhook", "svix"])
def test_standard_webhooks_are_read_as_their_library_writes_them(prefix: str) -> None:
    signers = read_signers(f"standard:{WHSEC}")
    signature = Webhook(WHSEC).sign("msg_1", NOON, BODY.decode())
    headers = {f"{prefix}-id": "msg_1", f"{prefix}-timestamp": AT, f"{prefix}-signature": f"v1,bm8= {signature}"}
    assert is_signed(signers, headers, BODY, NOON)
    assert is_signed(signers, headers, BODY, NOON + timedelta(minutes=5))
    assert not is_signed(signers, headers, BODY, NOON + timedelta(minutes=6)), "somebody repeats what they saw"
    assert not is_signed(signers, headers, BODY + b" ", NOON)
    assert not is_signed(signers, headers | {f"{prefix}-id": "msg_2"}, BODY, NOON)
    assert not is_signed(signers, headers | {f"{prefix}-signature": signature.replace("v1,", "v2,")}, BODY, NOON)
    assert not is_signed(signers, {}, BODY, NOON)


def test_mailgun_signs_a_time_and_a_token() -> None:
    signers = read_signers(f"mailgun:{SECRET}")
    signed = hmac.new(SECRET.encode(), f"{AT}token".encode(), "sha256").hexdigest()

    def body(**other: object) -> bytes:
        return json.dumps({"signature": {"timestamp": AT, "token": "token", "signature": signed, **other}}).encode()

    assert is_signed(signers, {}, body(), NOON)
    assert not is_signed(signers, {}, body(), NOON + timedelta(days=2))
    assert not is_signed(signers, {}, body(token="other"), NOON)
    for nonsense in (b"", b"[]", b"{}", b'{"signature": 1}', b"[" * 100_000, body(timestamp="\u0661" * 10)):
        assert not is_signed(signers, {}, nonsense, NOON)


def test_sendgrid_signs_time_and_body_with_a_key_of_which_we_know_the_public_half() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signers = read_signers(f"sendgrid:{base64.b64encode(public).decode()}")

    def headers(by: ec.EllipticCurvePrivateKey = private, at: str = AT) -> dict[str, str]:
        signature = base64.b64encode(by.sign(at.encode() + BODY, ec.ECDSA(SHA256()))).decode()
        return {f"{TWILIO}-signature": signature, f"{TWILIO}-timestamp": at}

    assert is_signed(signers, headers(), BODY, NOON)
    assert not is_signed(signers, headers(), BODY + b" ", NOON)
    assert not is_signed(signers, headers(), BODY, NOON + timedelta(days=2))
    assert not is_signed(signers, headers(ec.generate_private_key(ec.SECP256R1())), BODY, NOON)
    assert not is_signed(signers, headers() | {f"{TWILIO}-timestamp": str(int(AT) + 1)}, BODY, NOON)
    for nonsense in ("", "!", "bm8=", "\u00e9", "MA=="):
        assert not is_signed(signers, headers() | {f"{TWILIO}-signature": nonsense}, BODY, NOON)
    assert not is_signed(signers, {}, BODY, NOON)


@pytest.mark.parametrize("written", ["{hex}", "{HEX}", "sha256={hex}", "{base64}"])
def test_a_header_may_have_the_signature_of_the_body(written: str) -> None:
    digest = hmac.new(SECRET.encode(), BODY, "sha256").digest()
    spelled = {"hex": digest.hex(), "HEX": digest.hex().upper(), "base64": base64.b64encode(digest).decode()}
    signers = read_signers(f"header:X-Signature:{SECRET}, standard:{WHSEC}")
    headers = {"x-signature": written.format(**spelled)}
    assert is_signed(signers, headers, BODY, NOON)
    assert not is_signed(signers, headers, BODY + b" ", NOON)
    assert not is_signed(signers, {"x-signature": "\u00e9"}, BODY, NOON)


@pytest.mark.parametrize(
    "text",
    ["plain:secret", "sns:arn", "sendgrid:bm8=", "sendgrid:!", "standard:whsec_!", "mailgun:short", "header:X", SECRET],
)
def test_a_setting_that_checks_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"secret|header|standard|sendgrid|SNS"):
        read_signers(text)
