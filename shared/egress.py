"""Egress: the only module that calls out over HTTP. It reaches no address that the operator did not allow.

A URL is resolved once, every address it resolves to is checked, and the connection goes to the checked address itself,
so that a name cannot answer differently a moment later. Redirects are not followed, environment proxies not used.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple

import httpx2

from shared.networks import Address, Network, forbidden, parsed

Resolve = Callable[[str, int], Awaitable[list[str]]]

SECONDS = 10.0
MAX_ANSWER_BYTES = 64 * 1024
_PORTS = {"https": 443, "http": 80}
_NO_SUCH_NAME = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY", "EAI_FAMILY", "EAI_SERVICE")
    if hasattr(socket, name)
)
"""The resolver's answers that say something of the name; the others say something of the resolver."""


class Forbidden(Exception):  # noqa: N818  what it is
    """The address is not one that we call. The message says why, without telling what is there."""


class Unresolved(Exception):  # noqa: N818  what it is
    """The name could not be resolved just now: the resolver did not answer. Another time it may."""


class Answer(NamedTuple):
    """What came back, cut at 64 KB."""

    status: int
    body: bytes


class Target(NamedTuple):
    """Where a URL leads: the name to speak to, and its addresses, all of them checked."""

    url: httpx2.URL
    host: str
    addresses: list[Address]


async def resolve(host: str, port: int) -> list[str]:
    """The addresses that the machine's resolver finds."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Egress:
    """Calls out. `allow` are networks an operator named: there, private addresses, plain http and any port are fine."""

    def __init__(self, allow: Iterable[Network] = (), resolver: Resolve = resolve, seconds: float = SECONDS) -> None:
        self._allow = tuple(allow)
        self._resolve = resolver
        self._seconds = seconds
        limits = httpx2.Limits(max_connections=50, max_keepalive_connections=0)
        self._client = httpx2.AsyncClient(trust_env=False, follow_redirects=False, limits=limits)

    async def check(self, url: str) -> Target:
        """Where it leads. Raises Forbidden, Unresolved; use it when a URL is saved as well as when it is called."""
        to = _read(url)
        host, port = to.raw_host.decode("ascii"), to.port or _PORTS[to.scheme]
        addresses = await self._addresses(host, port)
        if not addresses:
            raise Forbidden(f"'{host}' does not resolve")
        for address in addresses:
            self._permit(to, port, address)
        return Target(to, host, addresses)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """What the name resolves to, nothing where there is no such name. Raises Unresolved."""
        try:
            return [parsed(text) for text in await self._resolve(host, port)]
        except OSError as error:
            if isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME:
                return []
            raise Unresolved(f"'{host}' could not be resolved: {error.strerror or error}") from None
        except (UnicodeError, ValueError):
            return []

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post and read the answer. Raises Forbidden, Unresolved, TimeoutError, httpx2.HTTPError."""
        async with asyncio.timeout(self._seconds):
            target = await self.check(url)
            *others, last = target.addresses
            for address in others:
                try:
                    return await self._post(target, address, body, headers)
                except (httpx2.ConnectError, httpx2.ConnectTimeout):
                    continue
            return await self._post(target, last, body, headers)

    async def _post(self, target: Target, address: Address, body: bytes, headers: Mapping[str, str]) -> Answer:
        request = self._client.build_request(
            "POST",
            target.url.copy_with(host=f"[{address}]" if address.version == 6 else str(address)),
            content=body,
            headers={**headers, "host": target.url.netloc.decode("ascii"), "accept-encoding": "identity"},
            extensions={"sni_hostname": target.host},
        )
        answer = await self._client.send(request, stream=True)
        try:
            return Answer(answer.status_code, await _cut(answer))
        finally:
            await answer.aclose()

    async def close(self) -> None:
        await self._client.aclose()

    def _permit(self, to: httpx2.URL, port: int, address: Address) -> None:
        if any(address in network for network in self._allow if network.version == address.version):
            return
        if why := forbidden(address):
            raise Forbidden(f"'{to.host}' leads to {why}: not allowed by WAYMARK_EGRESS_ALLOW")
        if to.scheme != "https" or port != _PORTS["https"]:
            raise Forbidden("only https on port 443, except to networks in WAYMARK_EGRESS_ALLOW")


def _read(url: str) -> httpx2.URL:
    try:
        to = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError, ValueError):
        raise Forbidden("not a URL") from None
    if to.scheme not in _PORTS or not to.host:
        raise Forbidden("a URL starts with https:// and a host")
    if to.userinfo:
        raise Forbidden("no user and password in a URL")
    return to


async def _cut(answer: httpx2.Response) -> bytes:
    """The raw bytes up to the limit, never decompressed, so that nothing grows."""
    body = b""
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) >= MAX_ANSWER_BYTES:
            break
    return body[:MAX_ANSWER_BYTES]
