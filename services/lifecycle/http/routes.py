"""Routes of lifecycle: accounts, their decisions, the funnel and the definition."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from services.lifecycle import store
from services.lifecycle.accounts import listed_traits
from services.lifecycle.core import explain
from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.funnel import figures
from services.lifecycle.core.state import Account, Contact, ContactClaim
from services.lifecycle.handlers import Handlers
from services.lifecycle.http.models import (
    AccountRow,
    AccountView,
    Decision,
    Diagram,
    EdgeWords,
    Funnel,
    MetricWords,
    NoteView,
    NoteWanted,
    Person,
    PlaceCountRow,
    Portfolio,
    RaisedFlag,
    StageFigures,
    StageView,
    UnmatchedRow,
)
from services.lifecycle.place_counts import Place, SavedPlaceCounts
from services.lifecycle.store import StoredDecision
from shared.contracts import evidence
from shared.failures import Refused
from shared.http.audit import Act, administrative
from shared.http.auth import require_key
from shared.http.paging import (
    MAX_PAGE,
    Count,
    CountedPage,
    Cursor,
    Limit,
    Page,
    Since,
    decode_cursor,
    encode_cursor,
    order_of,
    refuse_unknown,
    sorts_in_words,
)
from shared.ids import derived
from shared.service.context import ServiceContext
from shared.service.saved_counts import SavedCounts
from shared.wording import Wording

Owner = Annotated[
    str | None, Query(max_length=200, description="who looks after it (the trait csm); empty: nobody does")
]
_BELIEVED = 20
"""Times what it took to work the funnel out."""
_AT_ONCE = 0.5
"""Seconds within which it is worked out anew for everybody who asks."""
_SORT_VALUES: Mapping[str, Callable[[Any], Any]] = {
    "entered_at": datetime.fromisoformat,
    "renewal_at": datetime.fromisoformat,
    "score": float,
    "known_score": float,
}
"""How the value in a cursor is read; text where nothing is said."""


def router(
    context: ServiceContext, compiled: CompiledDefinition, handlers: Handlers, passed_over: SavedPlaceCounts
) -> APIRouter:
    """Every route takes a key of kind read."""
    accounts, wording = handlers.accounts, compiled.definition.wording
    computed = FunnelFigures(context, compiled)
    routes = APIRouter(prefix="/v1", dependencies=[Depends(require_key(context.keys, "read"))])

    @routes.get("/accounts", tags=["accounts"])
    async def list_accounts(
        stage: str | None = None,
        health: Annotated[str | None, Query(description="green, yellow, red or unknown")] = None,
        flag: Annotated[str | None, Query(description="at_risk, stalled, renewal_window ...")] = None,
        owner: Owner = None,
        plan: Annotated[str | None, Query(max_length=200)] = None,
        renewal_from: Annotated[date | None, Query(description="renews on this day or later (UTC)")] = None,
        renewal_to: Annotated[date | None, Query(description="renews on this day or earlier (UTC)")] = None,
        since: Annotated[AwareDatetime | None, Query(description="entered their stage then or later")] = None,
        q: Annotated[str | None, Query(max_length=200, description="text in the name or the id")] = None,
        ids: Annotated[list[str] | None, Query(max_length=MAX_PAGE, description="these accounts")] = None,
        sort: Annotated[str, Query(description=sorts_in_words(store.SORTS))] = "id",
        people: Annotated[bool, Query(description="true: with the people of each account")] = False,
        why: Annotated[bool, Query(description="true: with why each flag of an account is raised")] = False,
        count: Count = False,
        at: Cursor = None,
        limit: Limit = 100,
    ) -> CountedPage[AccountRow]:
        """Accounts that match every filter given; by `score` an unknown health comes before the lowest, by `known_score` last."""
        by, descending = order_of(sort, store.SORTS)
        refuse_unknown("stage", stage, compiled.definition.stages)
        refuse_unknown("health", health, ("green", "yellow", "red", "unknown"))
        refuse_unknown("flag", flag, compiled.definition.flags)
        renewals = (_midnight(renewal_from), _midnight(renewal_to, 1))
        wanted = store.AccountFilter(stage, health, flag, q, ids, owner, plan, since, *renewals)
        start = _start_of(at, by)
        async with context.database.snapshot() as read:
            page = await store.list_accounts(read, wanted, limit, by, start, descending=descending)
            total = await store.count_accounts(read, wanted) if count else None
            shown = [row.id for row in page.accounts]
            states = await accounts.load_all(read, shown) if people else None
            changes = await store.raised_flags(read, shown) if why else None
        items = [
            AccountRow(**row._asdict(), people=_people(states, row.id), raised=_raised(row.flags, row.id, changes))
            for row in page.accounts
        ]
        return CountedPage(items=items, next=encode_cursor(page.sorted_by) if page.sorted_by else None, total=total)

    @routes.get("/portfolio", tags=["accounts"])
    async def portfolio(owner: Owner = None) -> Portfolio:
        """How many accounts there are, by stage, health band, flag, owner and plan; of one owner where one is given."""
        async with context.database.snapshot() as read:
            return Portfolio(**(await store.count_by_column(read, owner))._asdict())

    @routes.get("/accounts/{account:id}/history", tags=["accounts"])
    async def account_history(
        account: str,
        kind: Annotated[list[str] | None, Query()] = None,
        since: Since = None,
        at: Cursor = None,
        limit: Limit = 100,
    ) -> Page[Decision]:
        """What was decided about an account, the latest first, each with its evidence. Filter by `kind`, e.g. stage_changed."""
        start = decode_cursor(at, 1)
        _check_kinds(kind)
        async with context.database.snapshot() as read:
            rows = await store.list_decisions(read, account, kind or [], start[0] if start else None, limit + 1, since)
            if not rows and await accounts.load(read, account) is None:
                raise _no_account(account)
        items = [_in_words(evidence.upcast(msgspec.json.decode(row.body)), wording) for row in rows[:limit]]
        return Page(items=items, next=encode_cursor([rows[limit - 1].seq]) if len(rows) > limit else None)

    @routes.get("/accounts/{account:id}", tags=["accounts"])
    async def one_account(account: str) -> AccountView:
        """One account: stage, health and its measures, metrics, milestones, and what stands before its next stages."""
        async with context.database.snapshot() as read:
            found = await accounts.load(read, account)
            changes = await store.raised_flags(read, [account])
        if found is None:
            raise _no_account(account)
        return _view(found, compiled, changes)

    @routes.get("/funnel", tags=["funnel"])
    async def funnel() -> Funnel:
        """How many accounts are in each stage, how long stages take, and where they lead.

        It reads every visit to a stage: where that takes long, the answer is believed for twenty times as long.
        """
        return await computed.get()

    _add_definition(routes, compiled)
    _add_notes(routes, context, handlers)
    _add_place_counts(routes, passed_over)
    return routes


class FunnelFigures:
    """The funnel's figures, worked out beside the event loop, and again only after twenty times what that took."""

    def __init__(self, context: ServiceContext, compiled: CompiledDefinition) -> None:
        self._context = context
        self._compiled = compiled
        self._lock = asyncio.Lock()
        self._known: tuple[Funnel, float] | None = None

    async def get(self) -> Funnel:
        """The latest figures; one request at a time works them out."""
        now = asyncio.get_running_loop().time
        async with self._lock:
            if self._known is not None and now() < self._known[1]:
                return self._known[0]
            began = now()
            found = await self._worked_out()
            took = now() - began
            self._known = (found, now() + _BELIEVED * took) if took > _AT_ONCE else None
            return found

    async def _worked_out(self) -> Funnel:
        async with self._context.database.snapshot() as read:
            accounts_seen = await store.count_accounts(read)
            visits = await store.stage_visits(read)
        found = await asyncio.to_thread(figures, list(self._compiled.definition.stages), visits)
        stages = [StageFigures(**stage._asdict()) for stage in found]
        return Funnel(definition=self._compiled.version, accounts=accounts_seen, stages=stages)


def _add_definition(routes: APIRouter, compiled: CompiledDefinition) -> None:
    wording = compiled.definition.wording

    @routes.get("/definition", tags=["definition"])
    async def definition() -> Diagram:
        """The stage machine as it runs now."""
        stages = [
            StageView(stage=name, goal=stage.goal, terminal=stage.terminal)
            for name, stage in compiled.definition.stages.items()
        ]
        return Diagram(
            definition=compiled.version,
            mermaid=explain.diagram(compiled),
            stages=stages,
            edges=[EdgeWords(**arrow._asdict()) for arrow in explain.arrows(compiled)],
            metrics={
                name: MetricWords(label=wording.label(name), unit=wording.unit(name)) for name in compiled.metrics.reads
            },
        )


def _add_notes(routes: APIRouter, context: ServiceContext, handlers: Handlers) -> None:
    accounts = handlers.accounts

    @routes.get("/accounts/{account:id}/notes", tags=["accounts"])
    async def list_notes(account: str, since: Since = None, at: Cursor = None, limit: Limit = 100) -> Page[NoteView]:
        """What people wrote about an account, the latest first."""
        start = _start_of(at, "entered_at")
        async with context.database.snapshot() as read:
            found = await store.list_notes(read, account, start, limit + 1, since)
            if not found and await accounts.load(read, account) is None:
                raise _no_account(account)
        behind = found[limit - 1] if len(found) > limit else None
        following = encode_cursor((behind.at, behind.id)) if behind else None
        return Page(items=[_note(one) for one in found[:limit]], next=following)

    @routes.post("/accounts/{account:id}/notes", tags=["accounts"])
    async def write_note(
        account: str, wanted: NoteWanted, act: Annotated[Act, administrative(context, "note_written")]
    ) -> NoteView:
        """Write something about an account. It stays, with the name of the key that wrote it."""
        now = context.clock.now()
        note_id = derived("note", account, now.isoformat(), act.actor.name, wanted.text)
        note = store.AccountNote(account, now, note_id, act.actor.name, wanted.text)
        async with act.transaction(account, note=note.id) as tx:
            if await accounts.load(tx, account) is None:
                raise _no_account(account)
            await store.write_note(tx, note)
        return _note(note)


def _in_words(message: Decision, wording: Wording) -> Decision:
    """The decision with words beside the text of each condition, in today's names."""
    why = message.get("evidence")
    for clause in why.get("clauses", []) if isinstance(why, dict) else ():
        if clause.get("kind", "condition") == "condition":
            clause["words"] = wording.condition(str(clause.get("text", "")))
    return message


def _note(note: store.AccountNote) -> NoteView:
    return NoteView(id=note.id, at=note.at, author=note.author, text=note.text)


def _add_place_counts(routes: APIRouter, passed_over: SavedPlaceCounts) -> None:
    @routes.get("/unreadable", tags=["definition"])
    async def unreadable_values() -> Page[PlaceCountRow]:
        """Values that could not be read, by source, event and property; the most frequent first."""
        return await _page_of(passed_over.unreadable)

    @routes.get("/untrusted", tags=["definition"])
    async def untrusted_claims() -> Page[PlaceCountRow]:
        """What browsers said and may not say, by source, event and property; the most frequent first.

        It moved nothing. A trusted event or trait of your own that stands here is sent with a browser's key: send it from your server.
        """
        return await _page_of(passed_over.untrusted)

    @routes.get("/unmatched", tags=["definition"])
    async def unmatched_events() -> Page[UnmatchedRow]:
        """Tracked events whose name no event class of lifecycle.yaml matches, by source and name; the most frequent first.

        They moved nothing but when their account was last seen. One that should count stands here in another spelling: add it to `match`.
        """
        found = await passed_over.unmatched.listed()
        items = [
            UnmatchedRow(source=place.source, event=place.event, count=n, account=account)
            for place, n, account in found
        ]
        return Page(items=items, next=None)


async def _page_of(counts: SavedCounts[Place, str]) -> Page[PlaceCountRow]:
    items = [PlaceCountRow(**place._asdict(), count=n, example=text) for place, n, text in await counts.listed()]
    return Page(items=items, next=None)


def _people(states: Mapping[str, Account] | None, account_id: str) -> list[Person] | None:
    if states is None:
        return None
    contacts = states[account_id].contacts if account_id in states else {}
    return [_person(user, contact) for user, contact in contacts.items()]


def _person(user: str, of: Contact) -> Person:
    """What a trusted source told, else what a browser says."""
    said = of.claim or ContactClaim(of.at)
    return Person(user=user, name=of.name or said.name, email=of.email or said.email, role=of.role or said.role)


def _raised(
    flags: Iterable[str], account_id: str, changes: Mapping[str, Sequence[StoredDecision]] | None
) -> list[RaisedFlag] | None:
    """The flags that are raised with the latest decision that raised each; None where nobody asked."""
    if changes is None:
        return None
    found: dict[str, RaisedFlag] = {}
    for stored in changes[account_id]:
        told = msgspec.json.decode(stored.body)
        if told.get("raised"):
            why = told.get("evidence") or {}
            found[told["flag"]] = RaisedFlag(flag=told["flag"], since=told["at"], reason=why.get("reason", ""))
    return [found.get(flag, RaisedFlag(flag=flag, since=None, reason="")) for flag in flags]


def _view(
    account: Account, compiled: CompiledDefinition, changes: Mapping[str, Sequence[StoredDecision]]
) -> AccountView:
    shown = explain.snapshot_of(account, compiled)
    plain: dict[str, Any] = {
        "id": account.id,
        "stage": account.stage,
        "entered_at": account.entered_at,
        "flags": list(account.flags),
        "raised": _raised(account.flags, account.id, changes),
        "band": account.health.band,
        "score": account.health.score,
        "clock": account.clock,
        **listed_traits(account),
        "name": str(shown.traits.get("name") or account.id),
        "traits": shown.traits,
        "metrics": shown.metrics,
        "milestones": shown.milestones,
        "health": msgspec.to_builtins(explain.health_detail(account, compiled)),
        "people": [_person(user, contact) for user, contact in account.contacts.items()],
        "next": msgspec.to_builtins(explain.standing(account, compiled)),
        "clearing": msgspec.to_builtins(explain.clearing(account, compiled)),
    }
    for asked in (*plain["next"], *plain["clearing"]):
        for clause in asked["clauses"]:
            clause["words"] = compiled.definition.wording.condition(clause["text"])
    return AccountView.model_validate(plain)


def _midnight(day: date | None, days_later: int = 0) -> datetime | None:
    try:
        return None if day is None else datetime.combine(day, time(), UTC) + timedelta(days=days_later)
    except OverflowError:
        raise Refused("this day is beyond the calendar", "bad_day") from None


def _start_of(cursor: str | None, by: str) -> tuple[Any, str] | None:
    """The value and the id that a page begins behind. Raises Refused for a cursor that belongs to another order."""
    start = decode_cursor(cursor, 2)
    if start is None:
        return None
    value, account_id = start
    try:
        value = _SORT_VALUES.get(by, str)(value)
    except (TypeError, ValueError):
        raise Refused("this cursor belongs to another order; start without it", "bad_cursor") from None
    return value, str(account_id)


def _no_account(account: str) -> Refused:
    return Refused(f"no account '{account}' has been seen", "no_account", 404)


def _check_kinds(kinds: Sequence[str] | None) -> None:
    for kind in kinds or ():
        refuse_unknown("kind", kind, store.DECISION_KINDS)
