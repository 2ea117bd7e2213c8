"""Issued keys: created, changed, rotated, revoked and listed. A key's text is told once, to whoever creates it; its SHA-256 is kept.

A key reads `wm_KIND_ID_SECRETCHECK`: the id is public, CHECK is the CRC-32 of what stands before it, so that a scanner of
leaked secrets, or a person, can tell a key from anything else.
"""

import asyncio
import re
import secrets
import zlib
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal, NamedTuple

import msgspec
import structlog
from sqlalchemy import Row, select, update

from shared.access.tables import access_key, access_key_use
from shared.clock import Clock
from shared.contracts.usage import Times
from shared.db.protocol import Database, Read, Tx
from shared.failures import Refused
from shared.keys import SOURCE_KINDS, Key, Keys, Kind, Rates, digest

State = Literal["live", "expired", "revoked"]
USE_IS_KNOWN_TO = timedelta(minutes=1)
"""How exactly the last use is kept: each key is written at most so often."""
MAX_ORIGINS = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\*\.)?([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_PORTS_LEFT_OUT = {"https": ":443", "http": ":80"}
_OF_KAFKA = "kafka"
"""The source of events that a product's own producer writes to the log."""
_REFRESH_EVERY = 2.0
"""Seconds after which a key that another process created or revoked counts here."""
_REFRESH_AT_MOST_EVERY = 1.0
_REFRESH_PATIENCE = 1.0
_NEVER = datetime.min.replace(tzinfo=UTC)
_log = structlog.get_logger(__name__)


class IssuedKey(NamedTuple):
    """An issued key, without its text. `rotates` is the id of the key that it replaces."""

    id: str
    name: str
    kind: Kind
    origins: tuple[str, ...]
    rates: Rates
    created_at: datetime
    created_by: str
    rotates: str | None = None
    valid_until: datetime | None = None
    revoked_at: datetime | None = None
    times: Times = Times()

    def state(self, now: datetime) -> State:
        """Whether it is accepted, and why not."""
        if self.revoked_at is not None:
            return "revoked"
        return "live" if self.valid_until is None or now < self.valid_until else "expired"


class NewKey(NamedTuple):
    """An issued key, and its text, which nobody can be told again."""

    key: IssuedKey
    text: str


class WantedKey(NamedTuple):
    """A key to create. Without a name it is named after its kind, and numbered where that is taken."""

    kind: Kind
    name: str = ""
    origins: tuple[str, ...] = ()
    rates: Rates = Rates()
    valid_until: datetime | None = None
    times: Times = Times()


class KeyChanges(NamedTuple):
    """What of a source is to be changed, and nothing else of it. A rate or a bound of None: as the settings say."""

    origins: tuple[str, ...] | None = None
    rates: Mapping[str, int | None] = {}
    times: Mapping[str, int | None] = {}


class ChangedKey(NamedTuple):
    """A key as it was and as it is now."""

    before: IssuedKey
    after: IssuedKey

    @property
    def differences(self) -> dict[str, list[object]]:
        """What is another value now: name -> before and after."""
        before, after = (_changeable(key) for key in self)
        return {name: [before[name], value] for name, value in after.items() if before[name] != value}


_BOUNDS: Mapping[str, tuple[int, int]] = {
    "days_back": (1, 3650),
    "minutes_ahead": (0, 1440),
    "import_days_back": (1, 36_500),
}
"""The least and the most of each bound, as in the settings."""


async def create(tx: Tx, wanted: WantedKey, of_settings: Iterable[Key], now: datetime, by: str) -> NewKey:
    """Issue a key. Raises Refused for a name that another key has, or what cannot be."""
    if not wanted.name:
        wanted = wanted._replace(name=await _free_name(tx, wanted.kind, of_settings))
    if not _NAME.fullmatch(wanted.name) or wanted.name == _OF_KAFKA:
        raise Refused(
            f"a name of letters, digits, '.', '_', '-' names the key and the source of its events; not '{wanted.name[:80]}'",
            "bad_name",
            422,
        )
    origins = _checked_origins(wanted.kind, wanted.origins)
    _check_times(wanted.kind, wanted.times)
    if wanted.valid_until is not None and wanted.valid_until <= now:
        raise Refused("the time until which it is valid is over", "bad_time", 422)
    await _check_name(tx, wanted, of_settings, now)
    return await _issue(tx, wanted._replace(origins=origins), now, by)


async def change(tx: Tx, key_id: str, wanted: KeyChanges, now: datetime) -> ChangedKey:
    """Change a live key, and with it every live key of its name: they are one source. Raises Refused for what cannot be."""
    key = await _locked(tx, key_id)
    if key.state(now) != "live":
        raise Refused(f"key {key.id} is {key.state(now)}: create a new one", "not_live", 409)
    if wanted == KeyChanges():
        raise Refused("say what is to be changed: origins, rates or times", "nothing_to_change", 422)
    if key.kind not in SOURCE_KINDS:
        raise Refused(
            f"a key of kind {key.kind} posts no events: it has no origins, rates and times", "wrong_kind", 422
        )
    changed = key._replace(
        origins=key.origins if wanted.origins is None else _checked_origins(key.kind, wanted.origins),
        rates=key.rates._replace(**wanted.rates),
        times=key.times._replace(**wanted.times),
    )
    _check_times(key.kind, changed.times)
    live = [one.id for one in await _of_name(tx, key.name) if one.state(now) == "live" and one.kind == key.kind]
    await tx.update(access_key, [{"id": one, **_stored(changed)} for one in sorted(live)])
    return ChangedKey(key, changed)


async def rotate(tx: Tx, key_id: str, until: datetime, now: datetime, by: str) -> NewKey:
    """Issue its successor (same name, kind, origins, rates and times); the old key is valid until then.

    Raises Refused for a key that is not live, or where two of the name are: a third would be one that nobody watches.
    """
    key = await _locked(tx, key_id)
    if key.state(now) != "live":
        raise Refused(f"key {key.id} is {key.state(now)}: create a new one", "not_live", 409)
    if until < now:
        raise Refused("the time until which the old key is valid is over", "bad_time", 422)
    of_name = [one for one in await _of_name(tx, key.name) if one.state(now) == "live"]
    if len(of_name) > 1:
        ids = ", ".join(one.id for one in of_name)
        raise Refused(f"two keys named {key.name} are live ({ids}): revoke one first", "two_live", 409)
    ends = until if key.valid_until is None else min(until, key.valid_until)
    await tx.run(update(access_key).where(access_key.c.id == key.id).values(valid_until=ends))
    return await _issue(tx, WantedKey(key.kind, key.name, key.origins, key.rates, times=key.times), now, by, key.id)


async def revoke(tx: Tx, key_id: str, now: datetime) -> IssuedKey:
    """Accept it no longer. Doing it twice changes nothing."""
    key = await _locked(tx, key_id)
    if key.revoked_at is None:
        key = key._replace(revoked_at=now)
        await tx.run(update(access_key).where(access_key.c.id == key.id).values(revoked_at=now))
    return key


async def all_keys(read: Read) -> list[IssuedKey]:
    """Every key that was issued, the newest first."""
    rows = await read.all(select(access_key).order_by(access_key.c.created_at.desc(), access_key.c.id))
    return [_key(row) for row in rows]


async def live_keys(read: Read, now: datetime) -> dict[bytes, Key]:
    """SHA-256 -> key, of those that are accepted."""
    rows = await read.all(select(access_key).where(access_key.c.revoked_at.is_(None)))
    found = [(row.digest, _key(row)) for row in rows]
    return {
        bytes(sha): Key(key.name, key.kind, key.id, key.origins, key.rates, times=key.times)
        for sha, key in found
        if key.state(now) == "live"
    }


async def last_uses(read: Read) -> dict[str, datetime]:
    """When each key was last used, by its id."""
    return {row.key_id: row.last_used_at for row in await read.all(select(access_key_use))}


async def record_use(tx: Tx, key_ids: Collection[str], now: datetime) -> None:
    """These keys were used; nothing is written for one whose use is known to the minute."""
    statement = select(access_key_use)
    known = {row.key_id: row.last_used_at for row in await tx.among(statement, access_key_use.c.key_id, key_ids)}
    stale = [key_id for key_id in key_ids if key_id not in known or now - known[key_id] >= USE_IS_KNOWN_TO]
    await tx.upsert(access_key_use, [{"key_id": key_id, "last_used_at": now} for key_id in sorted(stale)])


def normal_origin(text: str) -> str:
    """As browsers write it. Raises Refused for what is no origin."""
    origin = text.strip().lower().rstrip("/")
    if not _ORIGIN.fullmatch(origin):
        raise Refused(
            f"'{text[:80]}' is no origin: write https://app.example.com, or https://*.example.com for all below",
            "bad_origin",
            422,
        )
    return origin.removesuffix(_PORTS_LEFT_OUT.get(origin.partition("://")[0], "/"))


def _checked_origins(kind: Kind, origins: Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(map(normal_origin, origins)))
    if found and kind != "browser":
        raise Refused("origins are for keys of kind browser: no page may hold another", "bad_origin", 422)
    if len(found) > MAX_ORIGINS:
        raise Refused(f"a key has at most {MAX_ORIGINS} origins", "bad_origin", 422)
    return found


def _check_times(kind: Kind, times: Times) -> None:
    for name, value in times._asdict().items():
        least, most = _BOUNDS[name]
        if value is not None and not least <= value <= most:
            raise Refused(f"{name} is {least} to {most}, not {value}", "bad_time", 422)
    if times.import_days_back is not None and kind not in {"server", "import"}:
        raise Refused(f"a key of kind {kind} imports nothing: import_days_back is not for it", "bad_time", 422)
    if times.days_back is not None and kind == "import":
        raise Refused("what comes with an import key is history: import_days_back bounds it", "bad_time", 422)
    if times != Times() and kind not in SOURCE_KINDS:
        raise Refused(f"a key of kind {kind} posts no events: it has no times", "bad_time", 422)


def _changeable(key: IssuedKey) -> dict[str, object]:
    return {"origins": list(key.origins), **key.rates._asdict(), **key.times._asdict()}


def _stored(key: IssuedKey) -> dict[str, str]:
    """The columns that can be changed, as they are stored."""
    return {
        "origins": msgspec.json.encode(key.origins).decode(),
        "rates": _given(key.rates),
        "times": _given(key.times),
    }


def _given(values: Rates | Times) -> str:
    """What differs from the settings, as JSON."""
    return msgspec.json.encode({name: value for name, value in values._asdict().items() if value is not None}).decode()


def looks_issued(text: str) -> bool:
    """Whether this has the form and the checksum of a key that we issue."""
    body, check = text[:-_CHECK_LENGTH], text[-_CHECK_LENGTH:]
    return text.startswith("wm_") and check == _check(body)


_CHECK_LENGTH = 8


def _check(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


async def _free_name(read: Read, kind: Kind, of_settings: Iterable[Key]) -> str:
    taken = {key.name for key in of_settings} | {row.name for row in await read.all(select(access_key.c.name))}
    names = (kind if number == 1 else f"{kind}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)


async def _check_name(tx: Tx, wanted: WantedKey, of_settings: Iterable[Key], now: datetime) -> None:
    """A name is a source, and a source is of one kind: else a browser could say something in a server's name."""
    of_name = await _of_name(tx, wanted.name)
    if any(key.state(now) == "live" and key.kind == wanted.kind for key in of_name):
        raise Refused(f"there is a live key named {wanted.name}: rotate it, or take another name", "name_taken", 409)
    others = {key.kind for key in of_settings if key.name == wanted.name} | {key.kind for key in of_name}
    if wanted.kind in SOURCE_KINDS and any(kind in SOURCE_KINDS and kind != wanted.kind for kind in others):
        raise Refused(f"{wanted.name} is the name of a source of another kind: take another name", "name_taken", 409)


async def _issue(tx: Tx, wanted: WantedKey, now: datetime, by: str, rotates: str | None = None) -> NewKey:
    key_id = secrets.token_hex(6)
    body = f"wm_{wanted.kind}_{key_id}_{secrets.token_urlsafe(32)}"
    key = IssuedKey(
        *(key_id, wanted.name, wanted.kind, wanted.origins, wanted.rates, now, by, rotates, wanted.valid_until),
        times=wanted.times,
    )
    text = body + _check(body)
    await tx.insert(access_key, [key._asdict() | {"digest": digest(text), **_stored(key)}])
    return NewKey(key, text)


async def _locked(tx: Tx, key_id: str) -> IssuedKey:
    if key_id.startswith("settings:"):
        raise Refused(
            "this key stands in WAYMARK_KEYS or credentials.json: change it there and restart; it cannot be changed here",
            "key_of_settings",
            409,
        )
    row = await tx.first(select(access_key).where(access_key.c.id == key_id).with_for_update())
    if row is None:
        raise Refused(f"there is no key {key_id[:80]}", "not_found", 404)
    return _key(row)


async def _of_name(read: Read, name: str) -> list[IssuedKey]:
    return [_key(row) for row in await read.all(select(access_key).where(access_key.c.name == name))]


def _key(row: Row[Any]) -> IssuedKey:
    return IssuedKey(
        row.id,
        row.name,
        row.kind,
        tuple(msgspec.json.decode(row.origins)),
        Rates(**msgspec.json.decode(row.rates)),
        row.created_at,
        row.created_by,
        row.rotates,
        row.valid_until,
        row.revoked_at,
        Times(**msgspec.json.decode(row.times)),
    )


class KeyRefresh:
    """Reads the live keys into `keys` again and again, and notes in the table which were used.

    What a process knows of the issued keys follows the table within seconds, whichever process changed it.
    """

    def __init__(self, keys: Keys, database: Database, clock: Clock) -> None:
        self._keys = keys
        self._database = database
        self._clock = clock
        self._began = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None
        self._used: set[str] = set()
        self._noted: dict[str, datetime] = {}

    async def run(self) -> None:
        """For ever. While the database does not answer the keys hold that were known."""
        while True:
            await self.refresh()
            await self._note_use()
            await asyncio.sleep(_REFRESH_EVERY)

    async def refresh(self) -> None:
        """Read them now."""
        self._began = asyncio.get_running_loop().time()
        async with self._database.snapshot() as read:
            self._keys.replace_issued(await live_keys(read, self._clock.now()))

    async def refresh_for_unknown(self) -> None:
        """Somebody shows a key that is not known: it may have been created just now, elsewhere.

        At most once a second, however many show one, and all wait for the same answer, for a second at most.
        """
        running = self._refreshing is not None and not self._refreshing.done()
        if not running and asyncio.get_running_loop().time() - self._began < _REFRESH_AT_MOST_EVERY:
            return
        if self._refreshing is None or not running:
            self._refreshing = asyncio.create_task(self._refresh_or_log())
        await asyncio.wait({self._refreshing}, timeout=_REFRESH_PATIENCE)

    async def _refresh_or_log(self) -> None:
        try:
            await self.refresh()
        except Exception as error:  # noqa: BLE001  the loop reads them again, and readyz says what is wrong
            _log.warning("keys_not_read", error=repr(error))

    async def _note_use(self) -> None:
        """Write the last uses: each key at most once a minute."""
        now = self._clock.now()
        self._used |= self._keys.take_used()
        due = {key_id for key_id in self._used if now - self._noted.get(key_id, _NEVER) >= USE_IS_KNOWN_TO}
        if due:
            async with self._database.transaction() as tx:
                await record_use(tx, due, now)
            self._noted |= dict.fromkeys(due, now)
            self._used -= due
