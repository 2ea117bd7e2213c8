"""Lists of the console: their filters, orders, counts and pages, and each of them as a CSV file of all its pages."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from starlette.responses import Response, StreamingResponse

from services.console.core.answers import fields, rows
from services.console.core.csv_export import Column, heads, lines
from services.console.core.formatting import words
from services.console.effects import Answer
from services.console.http.visit import MINE, ConsoleRequest

PAGE = 50
_CSV_PAGE = 500
NOBODYS = "@nobody"
"""The filter `owner` of what nobody looks after."""
_RENEWALS = (30, 60, 90, 180)
OVERDUE = "overdue"


class Filter(NamedTuple):
    """One choice above a list: its parameter, what is chosen, what there is to choose (value, text), and what no choice means."""

    name: str
    chosen: str
    choices: Sequence[tuple[str, str]]
    without: str = "all"


class Export(NamedTuple):
    """A list as a file: the REST resource with its query, and the columns."""

    name: str
    resource: str
    query: dict[str, Any]
    columns: Sequence[Column]


class ExportBroken(Exception):  # noqa: N818  as Refused
    """A page could not be had in the middle of a file: the download must fail, rather than look whole."""


def of_words(name: str, chosen: str, offers: Iterable[Any]) -> Filter:
    """A filter over names of ours, read aloud; what was chosen is among them, known or not."""
    return Filter(name, chosen, _with_chosen([(str(one), words(one)) for one in offers if one], chosen))


def of_names(name: str, chosen: str, offers: Iterable[Any]) -> Filter:
    """A filter over names that somebody gave: shown as they are."""
    return Filter(name, chosen, _with_chosen([(str(one), str(one)) for one in offers if one], chosen))


def of_owners(visit: ConsoleRequest, chosen: str, owners: Iterable[str]) -> Filter:
    """Everybody's, mine, nobody's, or one owner's."""
    others = sorted(owner for owner in owners if owner)
    fixed = [(MINE, f"mine ({visit.me})"), (NOBODYS, "nobody's")]
    return Filter("owner", chosen, _with_chosen([*fixed, *((one, one) for one in others)], chosen))


def owners_in(portfolio: Answer) -> Iterable[str]:
    """Everybody who looks after accounts, from lifecycle's counts."""
    return fields(portfolio.fields.get("owners"))


def of_renewals(chosen: str) -> Filter:
    """When it renews."""
    within = [(str(days), f"within {days} days") for days in _RENEWALS]
    return Filter("renewal", chosen, [*within, (OVERDUE, "overdue")])


def owner_asked(visit: ConsoleRequest, chosen: str) -> dict[str, str]:
    """The filter as REST takes it: an empty owner is nobody."""
    if not chosen:
        return {}
    return {"owner": {MINE: visit.me, NOBODYS: ""}.get(chosen, chosen)}


def renewal_asked(visit: ConsoleRequest, chosen: str) -> dict[str, str]:
    """The filter as REST takes it: days, both inclusive."""
    if chosen == OVERDUE:
        return {"renewal_to": (visit.today - timedelta(days=1)).isoformat()}
    if not chosen.isdecimal() or int(chosen) not in _RENEWALS:
        return {}
    last = visit.today + timedelta(days=int(chosen))
    return {"renewal_from": visit.today.isoformat(), "renewal_to": last.isoformat()}


def orders(chosen: str, offers: Iterable[tuple[str, str]]) -> list[tuple[str, bool, str]]:
    """What a list may be sorted by: the value, whether it is chosen, and the text."""
    return [(value, value == chosen, text) for value, text in offers]


class Names(NamedTuple):
    """Names of accounts by id, and of their people (else their addresses) by account and user; what is not known is left out."""

    accounts: dict[str, str]
    people: dict[tuple[str, str], str]

    def account(self, of: Any) -> str:
        """The name, else the id."""
        return self.accounts.get(str(of), str(of))

    def person(self, account: Any, user: Any) -> str:
        """The name, else the address, else the id that the product gave."""
        return self.people.get((str(account), str(user)), str(user or ""))


async def names_of(visit: ConsoleRequest, accounts: Iterable[Any]) -> Names:
    """The names of these accounts and of their people."""
    ids = sorted({str(one) for one in accounts if one})[:_CSV_PAGE]
    if not ids:
        return Names({}, {})
    found = await visit.services.get("/lifecycle/v1/accounts", ids=ids, people="true", limit=_CSV_PAGE)
    people = [(row, person) for row in found.rows for person in rows(row.get("people"))]
    return Names(
        {str(row.get("id")): str(row.get("name")) for row in found.rows},
        {
            (str(row.get("id")), str(person.get("user"))): str(name)
            for row, person in people
            if (name := person.get("name") or person.get("email"))
        },
    )


async def as_csv(visit: ConsoleRequest, export: Export) -> Response:
    """The whole list as a file, sent page by page."""
    first = await _page(visit, export, "")
    if first.problem:
        return visit.notice("There is no file", first.problem, first.status, visit.path.removesuffix(".csv"))
    return _file(visit, export.name, _written(visit, export, first))


def rows_as_csv(visit: ConsoleRequest, name: str, columns: Sequence[Column], found: Answer) -> Response:
    """A list that comes whole, as a file."""
    if found.problem:
        return visit.notice("There is no file", found.problem, found.status, visit.path.removesuffix(".csv"))
    return _file(visit, name, iter([heads(columns), lines(columns, found.rows)]))


def _file(visit: ConsoleRequest, name: str, text: AsyncIterator[str] | Iterator[str]) -> Response:
    named = f"attachment; filename=waymark-{name}-{visit.today.isoformat()}.csv"
    return StreamingResponse(text, media_type="text/csv; charset=utf-8", headers={"Content-Disposition": named})


async def _written(visit: ConsoleRequest, export: Export, page: Answer) -> AsyncIterator[str]:
    yield heads(export.columns)
    yield lines(export.columns, page.rows)
    while page.next:
        page = await _page(visit, export, page.next)
        if page.problem:
            raise ExportBroken(page.problem)
        yield lines(export.columns, page.rows)


async def _page(visit: ConsoleRequest, export: Export, cursor: str) -> Answer:
    return await visit.services.get(export.resource, **export.query, cursor=cursor, limit=_CSV_PAGE)


def _with_chosen(offers: list[tuple[str, str]], chosen: str) -> list[tuple[str, str]]:
    known = {value for value, _ in offers}
    return offers if not chosen or chosen in known else [*offers, (chosen, chosen)]
