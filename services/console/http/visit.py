"""Visit: one request of a signed-in operator, with the services to ask, who they are, and ways to answer."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote, unquote

from fastapi import Depends, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.console.effects import Answer, Choices, ServiceClient
from services.console.http.auth import SignedIn, SignIn
from services.console.pages.rendering import link, rendered

_ME_COOKIE = "waymark_owner"
_A_YEAR = 365 * 86_400
_MAX_NAME = 200
MINE = "@me"
"""The filter `owner` of who asks."""


class ConsoleRequest(NamedTuple):
    """One request of a signed-in operator. `here` is the address with its query; `me` is the owner they chose to be, else the name of their key."""

    signed_in: SignedIn
    services: ServiceClient
    choices: Choices
    path: str
    here: str
    me: str
    chosen: bool
    today: date

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page, with what this person may do."""
        who = {"session": self.signed_in.key, "admin": self.signed_in.admin}
        return HTMLResponse(rendered(template, self.path, here=self.here, **who, **values), status)

    def notice(self, title: str, text: str, status: int, back: str = "/console/") -> HTMLResponse:
        """A page that says one thing."""
        return self.page("notice.html", status, title=title, text=text, back=back)

    async def offered(self, *paths: str) -> list[Answer]:
        """What filters offer, from these resources: at most a minute old."""
        return list(await asyncio.gather(*(self.choices.get(self.services, path) for path in paths)))

    async def change(self, method: str, path: str, back: str, body: Any = None) -> Response:
        """Change something as an admin, and go back to where it shows; or say why it was not done."""
        if not self.signed_in.admin:
            return self.notice("Not with this key", "This takes an API key of kind admin.", 403, back)
        answer: Answer = await self.services.change(method, path, body)
        if answer.problem:
            return self.notice("It was not done", answer.problem, answer.status, back)
        return RedirectResponse(back, 303)


async def _console_request(request: Request) -> AsyncIterator[ConsoleRequest]:
    signed_in: SignedIn = request.state.signed_in
    sign_in: SignIn = request.app.state.sign_in
    chosen = unquote(request.cookies.get(_ME_COOKIE, ""))[:_MAX_NAME]
    me, path, today = chosen or signed_in.key.name, request.scope["path"], request.app.state.clock.now().date()
    async with request.app.state.services.client(sign_in.token(signed_in)) as services:
        choices, here = request.app.state.choices, f"{path}?{request.url.query}" if request.url.query else path
        yield ConsoleRequest(signed_in, services, choices, path, here, me, bool(chosen), today)


Visit = Annotated[ConsoleRequest, Depends(_console_request)]


async def choose_me(request: Request, owner: Annotated[str, Form(max_length=_MAX_NAME)] = "") -> Response:
    """Remember in this browser whose accounts are "mine"; an empty name forgets it."""
    sign_in: SignIn = request.app.state.sign_in
    response = RedirectResponse(link("/console/accounts", owner=MINE if owner else ""), 303)
    place = sign_in.cookie_place(request)
    if owner:
        response.set_cookie(_ME_COOKIE, quote(owner, safe=""), max_age=_A_YEAR, **place)
    else:
        response.delete_cookie(_ME_COOKIE, **place)
    return response
