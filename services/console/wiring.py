"""Wiring of the console: pages over the other services; it reads no log, and of the database only who may ask."""

from functools import partial

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.console.effects import Choices, Services
from services.console.http.auth import HEADERS, AuthMiddleware, SignIn
from services.console.http.views import ROUTES
from services.console.pages.rendering import rendered
from shared.http.app import EncodedPath
from shared.http.security import SecurityHeaders
from shared.service.context import Service, ServiceContext

_NOT_FOUND = "There is no such page in this console."


def wire(context: ServiceContext, services: Services | None = None) -> Service:
    """Build the service: Without `services` the services are where the settings say."""
    sign_in = SignIn(context)
    app = FastAPI(title="Waymark console", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.sign_in, app.state.host = sign_in, context.settings.host
    app.state.clock, app.state.choices = context.clock, Choices(context.clock)
    app.state.services = services or Services(context.settings)
    for method, path, view in ROUTES:
        app.add_api_route(path, view, methods=[method])
    app.add_middleware(EncodedPath)
    app.add_middleware(partial(AuthMiddleware, sign_in=sign_in, public=context.settings.public))
    app.add_middleware(partial(SecurityHeaders, headers=HEADERS))
    app.router.default = _not_found
    return Service("console", app, root=[Route("/console", _home), Route("/", _home)], documented=False)


async def _home(_request: Request) -> Response:
    return RedirectResponse("/console/", 307)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    page = rendered("notice.html", "", title="Nothing here", text=_NOT_FOUND, back="/console/")
    await HTMLResponse(page, 404)(scope, receive, send)
