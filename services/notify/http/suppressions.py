"""Suppressions API: who is not written to and why; a list is imported and read page by page, an address is let go."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from services.notify.core.person import normalised_address
from services.notify.core.state import EVERYTHING, SuppressionReason
from services.notify.persons import NewRefusal, Persons, Suppression, SuppressionFilter, count_suppressions, page
from shared.http.audit import Act, administrative
from shared.http.auth import require_key
from shared.http.paging import (
    Count,
    CountedPage,
    Limit,
    Since,
    bad_cursor,
    decode_cursor,
    encode_cursor,
    refuse_unknown,
)
from shared.service.context import ServiceContext
from shared.values import read_time

MAX_ITEMS = 1000
_REASONS: Mapping[str, SuppressionReason] = {reason: reason for reason in get_args(SuppressionReason)}
_Address = Annotated[str, Query(min_length=3, max_length=320)]
_Cursor = Annotated[str | None, Query(alias="cursor", description="`next` of the page before", max_length=1000)]


class SuppressionView(BaseModel):
    """A reason not to write to somebody. `topic` `*` is everything; `address` is null for a user id, and once erased.

    unsubscribed and imported leave transactional mail alone; bounced and complained stop that too.
    """

    person: str
    address: str | None
    topic: str
    reason: str
    source: str
    detail: str
    at: datetime


class SuppressionWanted(BaseModel):
    """An address not to write to. `reason` says how it came onto the list, `at` when (unset: now)."""

    model_config = ConfigDict(extra="forbid")
    address: str = Field(min_length=3, max_length=320)
    reason: Literal["imported", "unsubscribed", "bounced", "complained"] = "imported"
    topic: str = Field(EVERYTHING, min_length=1, max_length=200, pattern="^[^\\x00]*$")
    at: str | None = Field(None, max_length=40)
    detail: str = Field("", max_length=200, pattern="^[^\\x00]*$")


class SuppressionsWanted(BaseModel):
    """A piece of a list: at most a thousand addresses."""

    model_config = ConfigDict(extra="forbid")
    items: list[SuppressionWanted] = Field(min_length=1, max_length=MAX_ITEMS)


class SuppressionsTaken(BaseModel):
    """How many were new and how many known; `unreadable` are the positions, from 0, of what is no address or no time."""

    added: int
    known: int
    unreadable: list[int]


class SuppressionsRemoved(BaseModel):
    """Whether anything spoke against the address."""

    removed: bool


def router(context: ServiceContext, persons: Persons) -> APIRouter:
    """Reading takes a key of kind read, changing one of kind admin."""
    read_key = Depends(require_key(context.keys, "read"))
    routes = APIRouter(prefix="/v1/suppressions", tags=["suppressions"], dependencies=[read_key])

    @routes.get("")
    async def list_suppressions(
        address: Annotated[str | None, Query(max_length=320)] = None,
        reason: Annotated[str | None, Query(description=", ".join(_REASONS))] = None,
        since: Since = None,
        count: Count = False,
        at: _Cursor = None,
        limit: Limit = 100,
    ) -> CountedPage[SuppressionView]:
        """Who is not written to and why, the latest first; or all that speaks against one address."""
        refuse_unknown("reason", reason, _REASONS)
        wanted = SuppressionFilter(_REASONS.get(reason or ""), since)
        async with context.database.snapshot() as read:
            if address is not None:
                of_person = await persons.suppressions(read, persons.keys.of(address, None))
                matching = [one for one in of_person if wanted.matches(one)]
                return CountedPage(items=[_view(one) for one in matching], total=len(matching) if count else None)
            found = await page(read, wanted, _position(at), limit + 1)
            total = await count_suppressions(read, wanted) if count else None
        last = found[limit - 1] if len(found) > limit else None
        following = encode_cursor([last.at, last.person, last.topic, last.reason]) if last else None
        return CountedPage(items=[_view(one) for one in found[:limit]], next=following, total=total)

    @routes.post("")
    async def add_suppressions(
        wanted: SuppressionsWanted, act: Annotated[Act, administrative(context, "suppressions_added")]
    ) -> SuppressionsTaken:
        """Write to these addresses no more. Saying it twice changes nothing."""
        now = context.clock.now()
        good, unreadable = list[tuple[str, NewRefusal]](), list[int]()
        for index, item in enumerate(wanted.items):
            at = now if item.at is None else read_time(item.at)
            if at is None or normalised_address(item.address) is None:
                unreadable.append(index)
                continue
            good.append(
                (item.address, NewRefusal(item.topic, item.reason, f"key:{act.actor.name}", min(at, now), item.detail))
            )
        async with context.database.transaction() as tx:
            await persons.verify(tx, now)
            added = await persons.suppress_all(tx, good)
            await act.record(tx, added=added, known=len(good) - added, unreadable=len(unreadable))
        return SuppressionsTaken(added=added, known=len(good) - added, unreadable=unreadable)

    @routes.delete("")
    async def remove_suppressions(
        address: _Address, act: Annotated[Act, administrative(context, "suppression_removed")]
    ) -> SuppressionsRemoved:
        """Vouch for an address: nothing that was said of it speaks against it any more, a bounce and a complaint neither."""
        # the person as the list names them: an address in the log would outlive its erasure
        person = ", ".join(sorted(persons.keys.of(address, None)))
        async with act.transaction(person) as tx:
            await persons.verify(tx, context.clock.now())
            return SuppressionsRemoved(removed=await persons.remove(tx, address))

    return routes


def _view(one: Suppression) -> SuppressionView:
    return SuppressionView(**one._asdict())


def _position(text: str | None) -> tuple[datetime, str, str, str] | None:
    """The last row of the page before. Raises Refused for what is no cursor of such a list."""
    values = decode_cursor(text, 4)
    if values is None:
        return None
    at = read_time(values[0])
    if at is None or not all(isinstance(value, str) for value in values):
        raise bad_cursor()
    return at, values[1], values[2], values[3]
