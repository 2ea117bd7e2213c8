"""How is a posted body read? Raw bytes, inflated by their magic number, never more than the limits, never for ever."""

import asyncio
import zlib
from typing import NamedTuple

from starlette.requests import ClientDisconnect, Request

from shared.failures import Refused

_RAW = 10 * 1024 * 1024
_INFLATED = 20 * 1024 * 1024
_GZIP = b"\x1f\x8b"


class Patience(NamedTuple):
    """Seconds we wait for the next piece of a body, and for all of it."""

    piece: float = 10.0
    whole: float = 60.0


async def read(request: Request, patience: Patience) -> bytes:
    """The body. Raises Refused: 413 beyond 10 MiB as sent or 20 MiB inflated, 408 when it is slow, 400 for broken gzip."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > len(str(_RAW)) or int(declared) > _RAW):
        raise _too_large()
    try:
        async with asyncio.timeout(patience.whole):
            body = await _received(request, patience.piece)
    except TimeoutError:
        raise Refused("the body did not arrive in time", "slow_body", 408) from None
    except ClientDisconnect:
        raise Refused("the connection ended before the body did", "cut_body") from None
    return inflated(body) if body[:2] == _GZIP else body


async def _received(request: Request, piece: float) -> bytes:
    chunks: list[bytes] = []
    size, stream = 0, aiter(request.stream())
    while True:
        async with asyncio.timeout(piece):
            chunk = await anext(stream, None)
        if chunk is None:
            return b"".join(chunks)
        size += len(chunk)
        if size > _RAW:
            raise _too_large()
        chunks.append(chunk)


def inflated(body: bytes) -> bytes:
    """Gzip undone, within the limit whatever the header claims."""
    machine = zlib.decompressobj(31)
    try:
        plain = machine.decompress(body, _INFLATED + 1)
    except zlib.error as error:
        raise Refused(f"the gzip body is broken: {error}", "bad_gzip") from None
    if len(plain) > _INFLATED:
        raise Refused(f"the body inflates to over {_INFLATED} bytes", "too_large", 413)
    if not machine.eof:
        raise Refused("the gzip body is cut short", "bad_gzip")
    if machine.unused_data:
        raise Refused("something follows the end of the gzip body", "bad_gzip")
    return plain


def _too_large() -> Refused:
    return Refused(f"the body is over {_RAW} bytes", "too_large", 413)
