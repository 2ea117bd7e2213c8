"""Signatures of feedback webhooks: what a provider signed is told from what somebody wrote who found the key."""

import base64
import hmac
import json
from datetime import timedelta

import pytest
from standardwebhooks import Webhook

from services.notify.core.signatures import is_signed, read_signers
from tests.make import NOON

BODY = b'{"type": "bounce", "address": "ann@acme.test"}'
SECRET = "a secret of thirty two characters"
WHSEC = "whsec_" + base64.b64encode(SECRET.encode()).decode()
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


@pytest.mark.parametrize("written", ["{hex}", "{HEX}", "sha256={hex}", "{base64}"])
def test_a_header_may_have_the_signature_of_the_body(written: str) -> None:
    digest = hmac.new(SECRET.encode(), BODY, "sha256").digest()
    spelled = {"hex": digest.hex(), "HEX": digest.hex().upper(), "base64": base64.b64encode(digest).decode()}
    signers = read_signers(f"header:X-Signature:{SECRET}, standard:{WHSEC}")
    headers = {"x-signature": written.format(**spelled)}
    assert is_signed(signers, headers, BODY, NOON)
    assert not is_signed(signers, headers, BODY + b" ", NOON)
    assert not is_signed(signers, {"x-signature": "\u00e9"}, BODY, NOON)


@pytest.mark.parametrize("text", ["plain:secret", "standard:whsec_!", "mailgun:short", "header:X", SECRET])
def test_a_setting_that_checks_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"secret|header|standard"):
        read_signers(text)
