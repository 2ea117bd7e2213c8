"""OpenAPI pages of a service: /openapi.json, and /docs, which is Swagger UI from our own origin.

The package fastapi-swagger carries Swagger UI's files as they were published; nothing is loaded from another host, so the page
works without internet and runs under a policy without inline scripts (shared/http/security.py).
"""

from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from shared.failures import Refused
from shared.http.auth import page_refusal
from shared.http.security import API_DOCS_POLICY
from shared.keys import Keys

_PACKAGED = "fastapi_swagger.resources"
_START = Path(__file__).parent / "start_docs.js"
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title}</title>
  <link rel="icon" type="image/png" href="docs/favicon-32x32.png?v={version}">
  <link rel="stylesheet" href="docs/swagger-ui.css?v={version}">
</head>
<body>
  <div id="api" data-description="openapi.json"></div>
  <noscript>This page needs JavaScript; <a href="openapi.json">the description itself</a> does not.</noscript>
  <script src="docs/swagger-ui-bundle.js?v={version}"></script>
  <script src="docs/start_docs.js?v={version}"></script>
</body>
</html>
"""


class _File(NamedTuple):
    body: bytes
    media_type: str


@cache
def _files() -> dict[str, _File]:
    """The files of the page, by name: some 2 MB, read when somebody looks at one."""
    packaged = files(_PACKAGED)
    types = {
        "swagger-ui-bundle.js": "text/javascript",
        "swagger-ui.css": "text/css",
        "favicon-32x32.png": "image/png",
    }
    found = {name: _File(packaged.joinpath(name).read_bytes(), kind) for name, kind in types.items()}
    return found | {_START.name: _File(_START.read_bytes(), "text/javascript")}


@cache
def _version() -> str:
    """Changes with the files: browsers keep what they have seen of a version."""
    return sha256(b"".join(file.body for file in _files().values())).hexdigest()[:10]


def install(app: FastAPI, keys: Keys | None) -> None:
    """Add the routes. With `keys` they take one of kind read."""

    async def description(request: Request) -> Response:
        return _refusal(request) or JSONResponse(app.openapi())

    async def page(request: Request) -> Response:
        text = _PAGE.format(title=escape(f"{app.title}: REST"), version=_version())
        return _refusal(request) or HTMLResponse(text, headers={"Content-Security-Policy": API_DOCS_POLICY})

    async def file(request: Request, name: str) -> Response:
        found = _files().get(name)
        if found is None:
            raise Refused("the page has no such file", "not_found", 404)
        return _refusal(request) or Response(found.body, media_type=found.media_type, headers=_FOR_EVER)

    async def former_page() -> Response:
        return RedirectResponse("docs", 308)

    def _refusal(request: Request) -> Response | None:
        return None if keys is None else page_refusal(keys, request)

    routes = (("/openapi.json", description), ("/docs", page), ("/docs/{name:plain}", file), ("/redoc", former_page))
    for path, answer in routes:
        app.add_api_route(path, answer, methods=["GET"], include_in_schema=False)
