"""Pages of records: what each service parked, and the audit log."""

import asyncio
from typing import Annotated, Any, get_args

from fastapi import Depends, Form
from starlette.responses import HTMLResponse, Response

from services.console.core.csv_export import column
from services.console.effects import SERVICES
from services.console.http import lists
from services.console.http.lists import Export
from services.console.http.visit import Visit
from shared.access.audit import Action

_PARKED_SORTS = (("", "id"), ("-parked_at", "latest first"), ("parked_at", "oldest first"), ("reason", "reason"))
_PARKED_COLUMNS = tuple(
    column(name, name) for name in ("id", "parked_at", "topic", "reason", "detail", "about", "body")
)
_AUDIT_SORTS = (("", "latest first"), ("at", "oldest first"), ("actor", "who"), ("action", "what"), ("subject", "on"))
_AUDIT_COLUMNS = tuple(
    column(name, name) for name in ("at", "actor", "address", "session", "action", "subject", "details")
)

_NOT_COUNTED = (
    (
        "Names that no event class has",
        "Events of your product that lifecycle.yaml does not match: add those that should count to an event class.",
        (("event", "event"), ("source", "source"), ("latest account", "account")),
        "/lifecycle/v1/unmatched",
    ),
    (
        "Values that could not be read",
        "A property or trait that stands for a number, a time or the like, and is none.",
        (("event", "event"), ("property", "property"), ("latest value", "example"), ("source", "source")),
        "/lifecycle/v1/unreadable",
    ),
    (
        "What a browser may not say",
        "Told with a public key: send it from your server, with a key of kind server.",
        (("event", "event"), ("property", "property"), ("latest value", "example"), ("source", "source")),
        "/lifecycle/v1/untrusted",
    ),
    (
        "Times that were not believed",
        "Too long ago, or ahead: the time of the receipt was taken in their place.",
        (
            ("source", "source"),
            ("latest account", "account"),
            ("latest time as sent", "claimed_at"),
            ("received", "received_at"),
        ),
        "/ingest/v1/corrected-times",
    ),
)
"""Title, explanation, columns (heading, field) and address of each list of what was taken and not counted."""


def _parked_given(service: str = "", reason: str = "", q: str = "", sort: str = "") -> dict[str, str]:
    return {"service": service if service in SERVICES else "", "reason": reason, "q": q, "sort": sort}


def _audit_given(action: str = "", actor: str = "", subject: str = "", q: str = "", sort: str = "") -> dict[str, str]:
    return {"action": action, "actor": actor, "subject": subject, "q": q, "sort": sort}


ParkedGiven = Annotated[dict[str, str], Depends(_parked_given)]
AuditGiven = Annotated[dict[str, str], Depends(_audit_given)]


async def parked(visit: Visit, given: ParkedGiven, cursor: str = "") -> HTMLResponse:
    """Records that a service could not take: of all four, or page by page of one."""
    shown = [given["service"]] if given["service"] else list(SERVICES)
    asked = {name: given[name] for name in ("reason", "q", "sort")}
    found = await asyncio.gather(
        *(
            visit.services.get(f"/{one}/v1/parked", **asked, cursor=cursor, limit=lists.PAGE, count="true")
            for one in shown
        )
    )
    filters = [lists.of_names("service", given["service"], SERVICES)]
    orders = lists.orders(given["sort"], _PARKED_SORTS)
    values: dict[str, Any] = {"filters": filters, "orders": orders, "given": given, "cursor": cursor}
    return visit.page("parked.html", found=list(zip(shown, found, strict=True)), **values)


async def not_counted(visit: Visit) -> HTMLResponse:
    """What was taken and moved nothing: where a product's events are when nothing comes of them."""
    answers = await visit.services.get_all(*(path for *_, path in _NOT_COUNTED))
    lists_of = [(*told, answer) for (*told, _), answer in zip(_NOT_COUNTED, answers, strict=True)]
    return visit.page("not_counted.html", lists=lists_of)


async def parked_csv(visit: Visit, given: ParkedGiven) -> Response:
    """What one service parked (ingest where none is named), all of it."""
    service = given["service"] or "ingest"
    asked = {name: given[name] for name in ("reason", "q", "sort")}
    return await lists.as_csv(visit, Export(f"parked-{service}", f"/{service}/v1/parked", asked, _PARKED_COLUMNS))


async def redrive(
    visit: Visit, ids: Annotated[list[str] | None, Form()] = None, service: Annotated[str, Form()] = "ingest"
) -> Response:
    """Try these once more."""
    of = service if service in SERVICES else "ingest"
    return await visit.change("POST", f"/{of}/v1/parked/redrive", "/console/parked", {"ids": ids or []})


async def audit(visit: Visit, given: AuditGiven, cursor: str = "") -> HTMLResponse:
    """Who did what, when and from where."""
    found = await visit.services.get("/ingest/v1/audit", **given, cursor=cursor, limit=lists.PAGE, count="true")
    filters = [lists.of_words("action", given["action"], sorted(get_args(Action)))]
    orders = lists.orders(given["sort"], _AUDIT_SORTS)
    only = {name: given[name] for name in ("actor", "subject") if given[name]}
    values: dict[str, Any] = {"filters": filters, "orders": orders, "given": given, "only": only, "cursor": cursor}
    return visit.page("audit.html", found=found, **values)


async def audit_csv(visit: Visit, given: AuditGiven) -> Response:
    """The same list, all of it."""
    return await lists.as_csv(visit, Export("audit", "/ingest/v1/audit", given, _AUDIT_COLUMNS))
