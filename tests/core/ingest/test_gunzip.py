"""Gzip bodies: inflated, never beyond the limit."""

import gzip
import zlib

import pytest

from services.ingest.http import gunzip
from shared.failures import Refused

MIB = 1024 * 1024


def refusal(body: bytes) -> tuple[str, int]:
    with pytest.raises(Refused) as refused:
        gunzip(body)
    return refused.value.code, refused.value.status


@pytest.mark.parametrize("plain", [b"", b"{}", b"x" * 20 * MIB])
def test_gzip_is_undone(plain: bytes) -> None:
    assert gunzip(gzip.compress(plain)) == plain


@pytest.mark.parametrize("size", [20 * MIB + 1, 200 * MIB])
def test_a_bomb_is_refused(size: int) -> None:
    assert refusal(gzip.compress(bytes(size), 1)) == ("too_large", 413)


@pytest.mark.parametrize("kept", [2, 10, 15, -1, -8])
def test_cut_gzip_is_refused(kept: int) -> None:
    assert refusal(gzip.compress(b'{"batch":[]}')[:kept]) == ("bad_gzip", 400)


def test_spoilt_gzip_is_refused() -> None:
    good = gzip.compress(b'{"batch":[]}')
    assert refusal(good[:10] + b"\xff" + good[11:]) == ("bad_gzip", 400)
    assert refusal(good[:-8] + bytes(8)) == ("bad_gzip", 400)
    assert refusal(b"\x1f\x8bhello") == ("bad_gzip", 400)


def test_what_follows_the_gzip_is_not_lost_in_silence() -> None:
    assert refusal(gzip.compress(b"{}") + gzip.compress(b"{}")) == ("bad_gzip", 400)


def test_zlib_without_its_gzip_header_is_no_gzip() -> None:
    assert refusal(zlib.compress(b"{}")) == ("bad_gzip", 400)
