"""How is a posted body read? Raw bytes, inflated by their magic number, never more than the limits, never for ever."""

import zlib

from starlette.requests import Request

from shared.failures import Refused
from shared.http.bodies import MIB, Patience, whole

_RAW = 10 * MIB
_INFLATED = 20 * MIB
_GZIP = b"\x1f\x8b"


async def read(request: Request, patience: Patience) -> bytes:
    """The body. Raises Refused: 413 beyond 10 MiB as sent or 20 MiB inflated, 408 when it is slow, 400 for broken gzip."""
    body = await whole(request.scope, request.receive, _RAW, patience)
    return inflated(body) if body[:2] == _GZIP else body


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
