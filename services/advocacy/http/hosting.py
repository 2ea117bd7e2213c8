"""How is a hosted page served? To whoever holds its signed link, with strict headers, and every refusal as a page."""

import asyncio
from collections.abc import Awaitable
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from services.advocacy.core import links
from services.advocacy.core.decisions import Invitation
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.refusal import Refused, Why
from services.advocacy.handlers import Handlers
from services.advocacy.pages import rendering
from services.advocacy.store import asked
from shared.db.protocol import Read
from shared.failures import Refused as Wrong
from shared.links import Links
from shared.service.context import ServiceContext

_MOST = 64 * 1024
_SECONDS = 15.0
_STATUS: dict[Why, int] = {"closed": 410, "unknown": 404, "forbidden": 409, "invalid": 422}


class House(NamedTuple):
    """What the pages are made with. `product` is what the company calls it."""

    product: str
    definitions: Definitions
    handlers: Handlers
    links: Links
    context: ServiceContext


async def answered(house: House, page: Awaitable[Response]) -> Response:
    """The page, or the one that says why there is none."""
    try:
        return await page
    except Refused as why:
        return shown(rendering.closed(house.product, why.reason), _STATUS[why.why])


def shown(text: str, status: int = 200) -> Response:
    """A page with its headers."""
    return Response(text, status, dict(rendering.HEADERS))


async def invited(house: House, read: Read, purpose: str, token: str) -> Invitation:
    """The invitation of this link. Raises the core's Refused."""
    name = links.subject(house.links, purpose, token, house.context.clock.now())
    found = await asked.invited(read, name)
    if found is None:
        raise Refused("unknown", "We do not know this invitation.")
    return found


async def form(request: Request) -> dict[str, str]:
    """The posted fields. Raises Refused: 413 beyond 64 KiB, 408 when it is slow, 400 when it is cut short or no form."""
    try:
        async with asyncio.timeout(_SECONDS):
            body = await _received(request)
        return dict(parse_qsl(body.decode("utf8", "replace"), keep_blank_values=True, max_num_fields=20))
    except TimeoutError:
        raise Wrong("the form did not arrive in time", "slow_body", 408) from None
    except ClientDisconnect:
        raise Wrong("the connection ended before the form did", "cut_body") from None
    except ValueError:
        raise Wrong("this is not our form", "bad_form") from None


async def _received(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST:
            raise Wrong(f"the form is over {_MOST} bytes", "too_large", 413)
    return bytes(body)
