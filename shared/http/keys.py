"""REST resource of keys: what there is, and creating, changing, rotating and revoking issued ones. It takes an admin key."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.access import keys as issued
from shared.access.keys import IssuedKey, KeyChanges, KeyRefresh, State, WantedKey
from shared.contracts.usage import Times
from shared.http.audit import Act, administrative
from shared.http.auth import require_key
from shared.http.paging import Page
from shared.keys import Key, Kind, Rates
from shared.service.context import ServiceContext

OVERLAP = timedelta(days=7)
"""How long a rotated key stays valid, unless something else is wanted."""
_Rate = Annotated[int | None, Field(ge=0, le=10**12)]


class KeyRates(BaseModel):
    """Where it differs from the settings; null: as the settings say, 0: no limit."""

    model_config = ConfigDict(extra="forbid")
    events_per_minute: _Rate = None
    bytes_per_minute: _Rate = None
    accounts_per_hour: _Rate = None
    contacts_per_hour: _Rate = None


class KeyTimes(BaseModel):
    """How far from its receipt the time of an event is believed: days before it, minutes after it, and days before it of an
    import. null: as the settings say, of imports since 1970.
    """

    model_config = ConfigDict(extra="forbid")
    days_back: int | None = None
    minutes_ahead: int | None = None
    import_days_back: int | None = None


class KeyView(BaseModel):
    """A key. `told_by` is `issued`, or `settings` for one of WAYMARK_KEYS or credentials.json, which is changed there."""

    id: str
    name: str
    kind: Kind
    told_by: Literal["issued", "settings"]
    state: State
    origins: list[str] = []
    rates: KeyRates = KeyRates()
    times: KeyTimes = KeyTimes()
    created_at: datetime | None = None
    created_by: str | None = None
    rotates: str | None = None
    valid_until: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class NewKeyView(KeyView):
    """A key, and its text `key`, told once."""

    key: str


class KeyWanted(BaseModel):
    """The key to create; without a name it is named after its kind."""

    model_config = ConfigDict(extra="forbid")
    kind: Kind
    name: Annotated[str, Field(max_length=63)] = ""
    origins: Annotated[list[str], Field(max_length=issued.MAX_ORIGINS)] = []
    rates: KeyRates = KeyRates()
    times: KeyTimes = KeyTimes()
    valid_until: AwareDatetime | None = None


class KeyChangesWanted(BaseModel):
    """What is to be changed: a member that is left out stays as it is, also inside `rates` and `times`. Origins of `[]` admit any page."""

    model_config = ConfigDict(extra="forbid")
    origins: Annotated[list[str] | None, Field(max_length=issued.MAX_ORIGINS)] = None
    rates: KeyRates = KeyRates()
    times: KeyTimes = KeyTimes()


class Rotation(BaseModel):
    """Until when the old key is valid beside its successor; unset: for seven days."""

    model_config = ConfigDict(extra="forbid")
    old_valid_until: AwareDatetime | None = None


def router(context: ServiceContext) -> APIRouter:
    """The routes. What is changed counts in this process at once, in others within seconds."""
    admin = require_key(context.keys, "admin")
    routes = APIRouter(prefix="/v1/keys", tags=["keys"], dependencies=[Depends(admin)])
    refresh = KeyRefresh(context.keys, context.access, context.clock)

    @routes.get("")
    async def list_keys() -> Page[KeyView]:
        """Every key with its kind, its state and when it was last used (to the minute), never its text."""
        async with context.access.snapshot() as read:
            found, uses = await issued.all_keys(read), await issued.last_uses(read)
        return Page(items=list(views(found, context.keys.of_settings, uses, context.clock.now())))

    @routes.post("", status_code=201)
    async def create_key(
        wanted: KeyWanted, act: Annotated[Act, administrative(context, "key_created")], response: Response
    ) -> NewKeyView:
        """Issue a key. The answer has its text, which nobody can be told again."""
        rates, times = Rates(**wanted.rates.model_dump()), Times(**wanted.times.model_dump())
        new = WantedKey(wanted.kind, wanted.name, tuple(wanted.origins), rates, wanted.valid_until, times)
        now = context.clock.now()
        async with context.access.transaction() as tx:
            made = await issued.create(tx, new, context.keys.of_settings, now, act.actor.name)
            await act.record(tx, made.key.id, name=made.key.name, kind=made.key.kind)
        await refresh.refresh()
        response.headers["Cache-Control"] = "no-store"
        return NewKeyView(key=made.text, **view(made.key, now).model_dump())

    @routes.patch("/{key:id}")
    async def change_key(
        key: str, wanted: KeyChangesWanted, act: Annotated[Act, administrative(context, "key_changed")]
    ) -> KeyView:
        """Change the origins, rates and times of a key, and of every other live key of its name: they are one source."""
        rates, times = (one.model_dump(exclude_unset=True) for one in (wanted.rates, wanted.times))
        changes = KeyChanges(None if wanted.origins is None else tuple(wanted.origins), rates, times)
        now = context.clock.now()
        async with context.access.transaction() as tx:
            changed = await issued.change(tx, key, changes, now)
            await act.record(tx, key, name=changed.after.name, kind=changed.after.kind, **changed.differences)
        await refresh.refresh()
        return view(changed.after, now)

    @routes.post("/{key:id}/rotate", status_code=201)
    async def rotate_key(
        key: str,
        wanted: Rotation,
        act: Annotated[Act, administrative(context, "key_rotated")],
        response: Response,
    ) -> NewKeyView:
        """Issue a key's successor: the same source. The old one stays valid until the time given."""
        now = context.clock.now()
        async with context.access.transaction() as tx:
            made = await issued.rotate(tx, key, wanted.old_valid_until or now + OVERLAP, now, act.actor.name)
            await act.record(tx, key, name=made.key.name, kind=made.key.kind, successor=made.key.id)
        await refresh.refresh()
        response.headers["Cache-Control"] = "no-store"
        return NewKeyView(key=made.text, **view(made.key, now).model_dump())

    @routes.post("/{key:id}/revoke")
    async def revoke_key(key: str, act: Annotated[Act, administrative(context, "key_revoked")]) -> KeyView:
        """Accept a key no longer, from now on. Doing it twice changes nothing."""
        now = context.clock.now()
        async with context.access.transaction() as tx:
            revoked = await issued.revoke(tx, key, now)
            await act.record(tx, key, name=revoked.name, kind=revoked.kind)
        await refresh.refresh()
        return view(revoked, now)

    return routes


def views(
    found: Iterable[IssuedKey], of_settings: Iterable[Key], uses: dict[str, datetime], now: datetime
) -> Iterable[KeyView]:
    """Issued keys, then those of the settings."""
    for key in found:
        yield view(key, now, uses.get(key.id))
    for one in of_settings:
        yield KeyView(
            id=one.id, name=one.name, kind=one.kind, told_by="settings", state="live", last_used_at=uses.get(one.id)
        )


def view(key: IssuedKey, now: datetime, last_used_at: datetime | None = None) -> KeyView:
    """An issued key as it is shown."""
    fields = key._asdict() | {
        "rates": KeyRates(**key.rates._asdict()),
        "times": KeyTimes(**key.times._asdict()),
    }
    return KeyView(told_by="issued", state=key.state(now), last_used_at=last_used_at, **fields)
