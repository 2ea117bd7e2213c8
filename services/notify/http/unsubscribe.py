"""Mail settings page, behind the link in every mail: shows what its reader gets; only its POST changes anything.

Mail scanners follow every link, so GET only shows. A mail program's own button posts at once (RFC 8058). Coming back is a
button of the page alone.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Form
from starlette.responses import HTMLResponse

from services.notify.handlers.consent import Subscription, resubscribe, subscription, unsubscribe
from services.notify.handlers.planning import UNSUBSCRIBE
from services.notify.persons import Persons
from services.notify.store import Accounts
from shared.contracts.outreach import OutreachClass
from shared.hosted import HostedBrand, page_templates
from shared.links import BadLink, Links
from shared.service.context import ServiceContext

_pages = page_templates(Path(__file__).parent.parent / "pages")
_Scope = Annotated[str, Form(max_length=20, description="`topic` for mail like this only; else everything")]
_Wish = Annotated[str, Form(max_length=20, description="`return` to get it again; else to get it no more")]
_RETURN, _TOPIC = "return", "topic"

_KINDS: Mapping[OutreachClass, str] = MappingProxyType(
    {
        "transactional": "what concerns your account itself",
        "risk": "questions how you are getting on",
        "onboarding": "help with getting started",
        "renewal": "news about your renewal",
        "value": "reports on what you have achieved",
        "survey": "surveys",
        "expansion": "hints about plans and seats",
        "advocacy": "requests for recommendations",
    }
)
"""What a customer calls mail of each class; our own words for it are for us."""
_TOPICS: Mapping[str, str] = MappingProxyType(
    {
        "nps": "the question whether you would recommend us",
        "csat": "questions how something went",
        "referrals": "requests to recommend us to others",
        "reviews": "requests for a review",
    }
)


def kind_of_mail(topic: str, outreach_class: OutreachClass) -> str:
    """What mail of this topic is, to whoever gets it. A topic that a company named is in its own words."""
    if topic in {"", outreach_class}:
        return _KINDS[outreach_class]
    return _TOPICS.get(topic, topic.replace("_", " "))


def router(
    context: ServiceContext, links: Links, accounts: Accounts, persons: Persons, brand: HostedBrand
) -> APIRouter:
    """Open to everybody: the signed link is the permission."""
    routes = APIRouter(prefix="/u", tags=["unsubscribe"])

    def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
        text = _pages.get_template(f"{name}.html").render(**values, brand=brand)
        return HTMLResponse(text, status, dict(brand.headers))

    def of(name: str, found: Subscription | None, **values: Any) -> HTMLResponse:
        if found is None:
            return page("unknown", 404)
        return page(name, found=found, kind=kind_of_mail(found.topic, found.outreach_class), **values)

    def delivery_of(token: str) -> str:
        try:
            return links.read(UNSUBSCRIBE, token, context.clock.now()).get("delivery", "")
        except BadLink:
            return ""

    @routes.head("/{token:id}", include_in_schema=False)
    @routes.get("/{token:id}", response_class=HTMLResponse)
    async def settings(token: str) -> HTMLResponse:
        """Shows what its reader gets, and asks; changes nothing."""
        async with context.database.snapshot() as read:
            found = await subscription(read, delivery_of(token), accounts, persons)
        return of("settings", found)

    @routes.post("/{token:id}", response_class=HTMLResponse)
    async def change(token: str, scope: _Scope = "everything", wish: _Wish = "") -> HTMLResponse:
        """Unsubscribes at once, or comes back; once more changes nothing."""
        everything, delivery, now = scope != _TOPIC, delivery_of(token), context.clock.now()
        async with context.database.transaction() as tx:
            if wish == _RETURN:
                back = await resubscribe(tx, delivery, accounts, persons, now, everything=everything)
            else:
                await unsubscribe(tx, delivery, accounts, persons, now, everything=everything)
                found = await subscription(tx, delivery, accounts, persons)
        if wish != _RETURN:
            return of("done", found, everything=everything)
        is_back = back is not None and not (back.everything or back.kind or back.dead or back.moved)
        return of("back" if is_back else "settings", back, everything=everything)

    return routes
