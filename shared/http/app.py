"""Application of a service: FastAPI with ids in paths that no sub-resource can shadow, and no unknown query parameters.

A path is matched segment by segment as the client encoded it: in `/accounts/acme%2Fhistory` the id is `acme/history`,
in `/accounts/acme/history` the history of `acme` is meant. A route declares an id as `{account:id}`, which decodes it.
"""

from collections.abc import Iterable
from urllib.parse import quote, unquote

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.failures import Refused

_TAKE_ANY = frozenset({"health", "unsubscribe"})
"""Tags of resources that others link to: a mail program that appends a parameter must not keep anybody from unsubscribing."""


class IdConvertor(Convertor[str]):
    """One encoded segment of a path, with any character in it: `{account:id}` in a route's path."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        """The id, decoded."""
        return unquote(value)

    def to_string(self, value: str) -> str:
        """The id as a segment of a path."""
        return quote(value, safe="")


class PlainConvertor(Convertor[str]):
    """A segment that needs no encoding: ids that we derive ourselves, as `{delivery:plain}`."""

    regex = "[^/%]+"

    def convert(self, value: str) -> str:
        """The id as it is."""
        return value

    def to_string(self, value: str) -> str:
        """The id as it is."""
        return value


register_url_convertor("id", IdConvertor())
register_url_convertor("plain", PlainConvertor())


class EncodedPath:
    """ASGI middleware: routes are matched against the path as it was encoded, so that `%2F` separates no segments."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": encoded_path(scope)}
        await self._app(scope, receive, send)


class ServiceMount(Mount):
    """A service under its name, whatever the rest of the path contains: Mount itself stops at a newline."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As in Mount, over the encoded path."""
        return super().matches({**scope, "path": encoded_path(scope)} if scope["type"] == "http" else scope)


def encoded_path(scope: Scope) -> str:
    """The path with each segment encoded in one way, whatever the client chose to encode."""
    raw = scope.get("raw_path", b"").decode("latin1")
    segments = raw if unquote(raw) == scope["path"] else quote(scope["path"])
    return "/".join(quote(unquote(segment), safe="") for segment in segments.split("/"))


def service_app(title: str, summary: str) -> FastAPI:
    """The application of a service with a REST interface."""
    app = FastAPI(
        title=title,
        summary=summary,
        docs_url=None,  # FastAPI's own pages load scripts from another host: shared/http/api_docs.py has ours
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(_known_parameters)],
    )
    app.add_middleware(EncodedPath)
    return app


async def _known_parameters(request: Request) -> None:
    """Refuse query parameters that the resource does not have: a typo must not look like an answer to the question.

    Probes and hosted pages (most are not in the schema) take what load balancers and mail programs append.
    """
    route = request.scope["route"]
    if not isinstance(route, APIRoute) or not route.include_in_schema or not _TAKE_ANY.isdisjoint(route.tags):
        return
    known = sorted(set(_query_parameters(route.dependant)))
    unknown = sorted(request.query_params.keys() - set(known))
    if unknown:
        names = ", ".join(f"'{name}'" for name in unknown)
        there_are = f"there are: {', '.join(known)}" if known else "this resource has none"
        raise Refused(f"unknown query parameter {names}; {there_are}", "unknown_parameter", 422)


def _query_parameters(dependant: Dependant) -> Iterable[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _query_parameters(inner)
