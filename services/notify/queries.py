"""Queries of notify for lists: deliveries that match filters, sorted and counted, with whom and whose account they concern.

A page is found in an index alone; of the table, whose rows carry the texts, only the rows it shows are read.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select

from services.notify.core.state import Account
from services.notify.store import NOBODY, SUMMARY, Accounts, DeliverySummary, listed_traits
from services.notify.tables import account, delivery
from shared.db.keyset import in_order
from shared.db.protocol import Read

_a, _c = account.c, delivery.c
_FEW_ACCOUNTS = 500
"""Up to so many, deliveries are looked up by account; of more, one finds a page sooner by walking through the latest."""
SORTS: Mapping[str, ColumnElement[Any]] = {
    "at": _c.at,
    "account": _c.account,
    "play": _c.play,
    "channel": _c.channel,
    "status": _c.status,
}
"""What deliveries may be sorted by."""


class DeliveryFilter(NamedTuple):
    """The deliveries a list shows: those that match every filter given.

    `text` stands in the account's name or id, in whatever case, or is the address it went to. The owner is the account's.
    """

    status: str | None = None
    account: str | None = None
    play: str | None = None
    channel: str | None = None
    history: bool | None = None
    owner: str | None = None
    text: str | None = None
    since: datetime | None = None


class ListedDelivery(NamedTuple):
    """A delivery in a list, with the names of the account, of who looks after it, and of the person; None where unknown."""

    delivery: DeliverySummary
    account_name: str | None
    owner: str | None
    user_name: str | None


class DeliveriesPage(NamedTuple):
    """A page of deliveries. `sorted_by` are the last one's sort value and id, behind which the next page begins."""

    deliveries: list[ListedDelivery]
    sorted_by: tuple[Any, str] | None


async def list_deliveries(
    read: Read,
    accounts: Accounts,
    wanted: DeliveryFilter,
    limit: int,
    by: str = "at",
    after: tuple[Any, str] | None = None,
    *,
    descending: bool = True,
) -> DeliveriesPage:
    """Deliveries in the order of one of SORTS, then of their ids; those behind this value and id."""
    of = SORTS[by]
    found = select(_c.id, of.label("sorted_by")).where(*await _conditions(read, wanted))
    page = await read.all(in_order(found, of, _c.id, after, descending=descending).limit(limit + 1))
    ids = [row.id for row in page[:limit]]
    rows = {row.id: DeliverySummary(*tuple(row)) for row in await read.among(SUMMARY, _c.id, ids)}
    shown = await with_names(read, accounts, [rows[of_id] for of_id in ids])
    return DeliveriesPage(shown, (page[limit - 1].sorted_by, ids[-1]) if len(page) > limit else None)


async def count_deliveries(read: Read, wanted: DeliveryFilter) -> int:
    """How many match."""
    counted = select(func.count()).select_from(delivery).where(*await _conditions(read, wanted))
    return int(await read.scalar(counted))


async def with_names(read: Read, accounts: Accounts, deliveries: Sequence[DeliverySummary]) -> list[ListedDelivery]:
    """The deliveries with the names that belong to them, as notify knows them now."""
    known = await accounts.load_all(read, {one.account for one in deliveries})
    return [_named(one, known.get(one.account)) for one in deliveries]


def _named(one: DeliverySummary, of: Account | None) -> ListedDelivery:
    if of is None:
        return ListedDelivery(one, None, None, None)
    contact = of.contacts.get(one.user or "")
    traits = listed_traits(of)
    return ListedDelivery(one, traits["name"], traits["owner"], contact.name if contact else None)


async def _conditions(read: Read, wanted: DeliveryFilter) -> list[ColumnElement[bool]]:
    exact = _given(wanted, ("status", "account", "play", "channel", "history"))
    found: list[ColumnElement[bool]] = [_c[name] == value for name, value in exact.items()]
    if wanted.since is not None:
        found.append(_c.at >= wanted.since)
    if wanted.owner is not None:
        owned = _a.owner.is_(None) if wanted.owner == NOBODY else _a.owner == wanted.owner
        found.append(await _of_accounts(read, owned))
    if wanted.text is not None:
        in_id = func.lower(_a.id).contains(wanted.text.lower(), autoescape=True)
        named = await _of_accounts(read, _a.search.contains(wanted.text.casefold(), autoescape=True) | in_id)
        found.append(named | (func.lower(_c.address) == wanted.text.lower()) if "@" in wanted.text else named)
    return found


async def _of_accounts(read: Read, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    matching = select(_a.id).where(condition)
    few = await read.all(matching.limit(_FEW_ACCOUNTS + 1))
    return _c.account.in_(matching if len(few) > _FEW_ACCOUNTS else [row.id for row in few])


def _given(wanted: DeliveryFilter, names: Sequence[str]) -> dict[str, Any]:
    """Those of these filters that are given."""
    return {name: value for name in names if (value := getattr(wanted, name)) is not None}
