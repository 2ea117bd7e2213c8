"""Unsubscribe page: asks to confirm; only its POST changes anything.

Mail scanners follow every link, so GET only shows. A mail program's own button posts at once (RFC 8058).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from services.notify import store
from services.notify.handlers.consent import unsubscribe
from services.notify.handlers.planning import UNSUBSCRIBE
from services.notify.persons import Persons
from services.notify.store import Accounts
from shared.contracts.evidence import Value
from shared.http.security import hosted_page_headers
from shared.links import BadLink, Links
from shared.service.context import ServiceContext

_FOLDER = Path(__file__).parent.parent / "pages"
_STYLE = (_FOLDER / "style.css").read_text("utf8")
_HEADERS = hosted_page_headers(_STYLE)
_pages = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
_Scope = Annotated[str, Form(max_length=20, description="`topic` for mail like this only; else everything")]


def router(
    context: ServiceContext, links: Links, accounts: Accounts, persons: Persons, company: Mapping[str, Value]
) -> APIRouter:
    """Open to everybody: the signed link is the permission."""
    routes = APIRouter(prefix="/u", tags=["unsubscribe"])

    def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
        text = _pages.get_template(f"{name}.html").render(**values, company=company["product"], style=_STYLE)
        return HTMLResponse(text, status, _HEADERS)

    def delivery_of(token: str) -> str:
        try:
            return links.read(UNSUBSCRIBE, token, context.clock.now()).get("delivery", "")
        except BadLink:
            return ""

    @routes.get("/{token:id}", response_class=HTMLResponse)
    async def confirm(token: str) -> HTMLResponse:
        """Asks; changes nothing."""
        async with context.database.snapshot() as read:
            record = await store.load(read, delivery_of(token))
        return page("confirm", topic=record.topic) if record is not None and record.user else page("unknown", 404)

    @routes.post("/{token:id}", response_class=HTMLResponse)
    async def confirmed(token: str, scope: _Scope = "everything") -> HTMLResponse:
        """Unsubscribes at once; once more changes nothing."""
        everything = scope != "topic"
        async with context.database.transaction() as tx:
            now = context.clock.now()
            found = await unsubscribe(tx, delivery_of(token), accounts, persons, now, everything=everything)
        return page("done", everything=everything) if found else page("unknown", 404)

    return routes
