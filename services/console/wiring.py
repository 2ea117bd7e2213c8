"""What is the console made of?"""

from functools import partial

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.console.effects import Rest
from services.console.http.guard import Guard
from services.console.http.routes import ROUTES
from services.console.http.session import Sessions
from services.console.pages.rendering import rendered
from shared.http.app import EncodedPath
from shared.links import Links
from shared.service.context import Service, ServiceContext

_NOWHERE = "There is no such page in this console."


def wire(context: ServiceContext, rest: Rest | None = None) -> Service:
    """Build the service: it reads no log and owns no table. Without `rest` the services are where the settings say."""
    secure = context.settings.public.startswith("https:")
    sessions = Sessions(Links(context.secret), context.keys, context.clock, secure=secure)
    app = FastAPI(title="Waymark console", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.sessions, app.state.host = sessions, context.settings.host
    app.state.rest = rest or Rest(context.settings)
    for method, path, answer in ROUTES:
        app.add_api_route(path, answer, methods=[method])
    app.add_middleware(EncodedPath)
    app.add_middleware(partial(Guard, sessions=sessions, public=context.settings.public))
    app.router.default = _nowhere
    return Service("console", app, root=[Route("/console", _home), Route("/", _home)])


async def _home(_request: Request) -> Response:
    return RedirectResponse("/console/", 307)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    page = rendered("notice.html", "", title="Nothing here", text=_NOWHERE, back="/console/")
    await HTMLResponse(page, 404)(scope, receive, send)
