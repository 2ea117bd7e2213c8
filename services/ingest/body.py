"""How is a posted body read? Raw bytes, inflated by their magic number, never more than the limits."""

import zlib

from starlette.requests import Request

from shared.failures import Refused

_RAW = 10 * 1024 * 1024
_INFLATED = 20 * 1024 * 1024
_GZIP = b"\x1f\x8b"


async def read(request: Request) -> bytes:
    """The body. Raises Refused (413) beyond 10 MiB as sent or 20 MiB inflated, 400 for broken gzip."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > _RAW:
        raise Refused(f"the body is {declared} bytes; the most is {_RAW}", "too_large", 413)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _RAW:
            raise Refused(f"the body is over {_RAW} bytes", "too_large", 413)
        chunks.append(chunk)
    body = b"".join(chunks)
    return inflated(body) if body[:2] == _GZIP else body


def inflated(body: bytes) -> bytes:
    """Gzip undone, within the limit whatever the header claims."""
    machine = zlib.decompressobj(31)
    try:
        plain = machine.decompress(body, _INFLATED)
    except zlib.error as error:
        raise Refused(f"the gzip body is broken: {error}", "bad_gzip") from None
    if machine.unconsumed_tail:
        raise Refused(f"the body inflates to over {_INFLATED} bytes", "too_large", 413)
    if not machine.eof:
        raise Refused("the gzip body is cut short", "bad_gzip")
    return plain
