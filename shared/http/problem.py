"""Error answers: problem+json (RFC 9457), with the `code` and `message` that tracking SDKs need to stop retrying."""

import math
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from shared.db.errors import is_infrastructure
from shared.failures import Halted, Refused, Retry

_log = structlog.get_logger(__name__)
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 408: {"Connection": "close"}, 429: {"Retry-After": "2"}}
_KNOWN = (Refused, Retry, Halted, DBAPIError, PoolTimeout, OSError, TimeoutError)
"""Errors with an answer: for any other, Starlette gives the answer and raises the error again, into the server's log."""


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    """The body of every error: type, title, status, detail, code, message."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code, "message": detail}
    return JSONResponse({**body, **more}, status, headers, media_type="application/problem+json")


def from_error(error: Exception) -> JSONResponse:
    """The answer to an error of ours, or to one nobody expected (500, without its inside)."""
    if isinstance(error, Refused):
        headers = _HEADERS.get(error.status)
        if error.retry_after is not None:
            headers = {"Retry-After": str(math.ceil(error.retry_after))}
        return problem(error.status, error.code, str(error), headers)
    if isinstance(error, Retry):
        return problem(503, error.code, str(error), {"Retry-After": str(error.seconds)})
    if isinstance(error, Halted):
        return problem(503, error.code, str(error))
    if is_infrastructure(error):
        _log.warning("unavailable", error=repr(error))
        return problem(503, "unavailable", "the database or the log does not answer", {"Retry-After": "5"})
    _log.error("unexpected", error=repr(error), exc_info=error)
    return problem(500, "internal", "something went wrong on our side; the log has the details")


def _where_to_look(request: Request, status: int, headers: dict[str, str]) -> str:
    """What is wrong with an address that no route has, and where those there are can be seen."""
    path, docs = ascii(request.url.path)[1:-1][:120], f"{request.scope.get('root_path', '')}/docs"
    if status == 405 and "Allow" in headers:
        return f"{request.method} is not for {path}; it takes {headers['Allow']}: see {docs}"
    return f"there is nothing at {path}; what there is: {docs}" if status == 404 else HTTPStatus(status).phrase


def install(app: FastAPI) -> None:
    """Make every error of this application a problem."""

    async def ours(_request: Request, error: Exception) -> JSONResponse:
        return from_error(error)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        wrong = error.errors() if isinstance(error, RequestValidationError) else []
        places = [{"where": ".".join(map(str, item["loc"])), "what": item["msg"]} for item in wrong]
        if [item["loc"] for item in wrong] == [("body",)] and "json" not in request.headers.get("content-type", ""):
            places = [{"where": "body", "what": "send JSON, with the header Content-Type: application/json"}]
        detail = "; ".join(f"{place['where']}: {place['what']}" for place in places)
        return problem(422, "invalid", detail, errors=places)

    async def http(request: Request, error: Exception) -> JSONResponse:
        status, detail, headers = 500, str(error), None
        if isinstance(error, HTTPException):
            status, detail, headers = error.status_code, error.detail, dict(error.headers or {})
            if detail == HTTPStatus(status).phrase:  # Starlette's own: no route, or not by this method
                detail = _where_to_look(request, status, headers)
        return problem(status, HTTPStatus(status).phrase.lower().replace(" ", "_"), detail, headers)

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, ours)
    for kind in _KNOWN:
        app.add_exception_handler(kind, ours)
