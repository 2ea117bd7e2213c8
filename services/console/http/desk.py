"""What does every page need? Who asks, the services to ask, and a way to answer."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.console.effects import Answer, Ask
from services.console.http.session import Session
from services.console.pages.rendering import rendered


class Desk(NamedTuple):
    """One request of somebody who is signed in."""

    session: Session
    ask: Ask
    path: str

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page, with what this person may do."""
        admin = self.session.kind == "admin"
        return HTMLResponse(rendered(template, self.path, session=self.session, admin=admin, **values), status)

    def notice(self, title: str, text: str, status: int, back: str = "/console/") -> HTMLResponse:
        """A page that says one thing."""
        return self.page("notice.html", status, title=title, text=text, back=back)

    async def done(self, method: str, path: str, back: str, body: Any = None) -> Response:
        """Change something as an admin, and go back to where it shows; or say why it was not done."""
        if self.session.kind != "admin":
            return self.notice("Not with this key", "This takes an API key of kind admin.", 403, back)
        answer: Answer = await self.ask.change(method, path, body)
        if answer.problem:
            return self.notice("It was not done", answer.problem, answer.status, back)
        return RedirectResponse(back, 303)


async def _desk(request: Request) -> AsyncIterator[Desk]:
    session: Session = request.state.session
    async with request.app.state.rest.asked(session.key) as ask:
        yield Desk(session, ask, request.scope["path"])


At = Annotated[Desk, Depends(_desk)]
