"""Commands of keys: `waymark keys create`, `set`, `list`, `rotate`, `revoke`, on the database, beside processes that run or not.

A key's text goes to standard output alone, so that `KEY=$(waymark keys create ...)` works; what is said about it goes to
standard error.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from shared.access import audit
from shared.access import keys as issued
from shared.access.audit import Action, AuditEntry
from shared.access.keys import IssuedKey, KeyChanges, NewKey, WantedKey
from shared.clock import SystemClock
from shared.contracts.usage import Times
from shared.db.protocol import Database, Tx
from shared.durations import Duration
from shared.failures import Refused
from shared.keys import KINDS, Rates, load_keys
from shared.settings import Settings
from shared.storage import open_access
from waymark import migrations
from waymark.command_audit import BY, actor

_DEFAULT = "default"
_DIGITS = 12
_COLUMNS = ("id", "name", "kind", "state", "last used", "valid until", "origins", "of its own")


class _Overlap(Duration):
    shortest = timedelta(0)


async def create(
    settings: Settings,
    kind: str,
    name: str,
    origins: Sequence[str],
    rates: Sequence[str],
    times: Sequence[str],
    valid_for: str | None,
) -> None:
    """Issue a key and print it. Raises Refused for what cannot be."""
    if kind not in KINDS:
        raise Refused(f"'{kind}' is not one of {', '.join(KINDS)}")
    now = SystemClock().now()
    until = now + _duration(Duration, valid_for) if valid_for else None
    own_rates, own_times = Rates(**_numbers(rates, Rates)), Times(**_numbers(times, Times))
    wanted = WantedKey(kind, name, tuple(origins), own_rates, until, own_times)
    async with _opened(settings) as database, database.transaction() as tx:
        made = await issued.create(tx, wanted, load_keys(settings)[0].of_settings, now, BY)
        await _record(tx, now, "key_created", made.key)
    _print_new(made)


async def change(
    settings: Settings, key_id: str, origins: Sequence[str] | None, rates: Sequence[str], times: Sequence[str]
) -> None:
    """Change origins, rates and times of a source, and say what is another value now."""
    now = SystemClock().now()
    own_rates, own_times = _numbers(rates, Rates), _numbers(times, Times)
    wanted = KeyChanges(None if origins is None else tuple(origins), own_rates, own_times)
    async with _opened(settings) as database, database.transaction() as tx:
        changed = await issued.change(tx, key_id, wanted, now)
        await _record(tx, now, "key_changed", changed.after, **changed.differences)
    for name, (before, after) in changed.differences.items():
        _say(f"{name}: {_shown(before)}, now {_shown(after)}")
    _say(f"of all live keys named {changed.after.name}; running processes know within seconds")


async def rotate(settings: Settings, key_id: str, old_valid_for: str) -> None:
    """Issue a key's successor and print it."""
    now = SystemClock().now()
    until = now + _duration(_Overlap, old_valid_for)
    async with _opened(settings) as database, database.transaction() as tx:
        made = await issued.rotate(tx, key_id, until, now, BY)
        await _record(tx, now, "key_rotated", made.key._replace(id=key_id), successor=made.key.id)
    _print_new(made)
    _say(f"the old key, {key_id}, is valid until {_time(until)}, or until: waymark keys revoke {key_id}")


async def revoke(settings: Settings, key_id: str) -> None:
    """Accept a key no longer."""
    now = SystemClock().now()
    async with _opened(settings) as database, database.transaction() as tx:
        key = await issued.revoke(tx, key_id, now)
        await _record(tx, now, "key_revoked", key)
    _say(f"{key.kind} key {key.id} ({key.name}) is revoked; running processes know within seconds")


async def print_all(settings: Settings) -> None:
    """Print every key, the newest first, then those of the settings."""
    now = SystemClock().now()
    async with _opened(settings) as database, database.snapshot() as read:
        found, uses = await issued.all_keys(read), await issued.last_uses(read)
    rows = [_row(key, uses.get(key.id), now) for key in found]
    rows += [
        (key.id, key.name, key.kind, "settings", _time(uses.get(key.id)), "", "", "")
        for key in load_keys(settings)[0].of_settings
    ]
    widths = [max(len(row[column]) for row in [_COLUMNS, *rows]) for column in range(len(_COLUMNS))]
    for row in [_COLUMNS, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    _say("keys of state 'settings' stand in WAYMARK_KEYS or credentials.json: change them there, and restart")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrations.migrate_access, settings)
    async with open_access(settings, SystemClock()) as database:
        yield database


async def _record(tx: Tx, now: datetime, action: Action, key: IssuedKey, **details: object) -> None:
    about = {"name": key.name, "kind": key.kind, **details}
    await audit.record(tx, AuditEntry(now, actor(), action, key.id, about))


def _duration(kind: type[Duration], text: str) -> Duration:
    try:
        return kind.parse(text)
    except ValueError as error:
        raise Refused(str(error)) from None


def _numbers(texts: Sequence[str], kind: type[Rates | Times]) -> dict[str, int | None]:
    """`NAME=NUMBER`, or `NAME=default` for what the settings say."""
    given: dict[str, int | None] = {}
    for text in texts:
        name, _, number = text.partition("=")
        is_number = number.isascii() and number.isdecimal() and len(number) <= _DIGITS
        if name not in kind._fields or not (is_number or number == _DEFAULT):
            raise Refused(f"'{text}' is not NAME=NUMBER (or NAME=default) with NAME one of {', '.join(kind._fields)}")
        given[name] = int(number) if is_number else None
    return given


def _shown(value: object) -> str:
    """A value of a key, in words."""
    if isinstance(value, list):
        return " ".join(map(str, value)) or "any"
    return _DEFAULT if value is None else str(value)


def _row(key: IssuedKey, used: datetime | None, now: datetime) -> tuple[str, ...]:
    origins = " ".join(key.origins) or ("any" if key.kind == "browser" else "")
    given = {**key.rates._asdict(), **key.times._asdict()}
    own = " ".join(f"{name}={value}" for name, value in given.items() if value is not None)
    return key.id, key.name, key.kind, key.state(now), _time(used), _time(key.valid_until), origins, own


def _time(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M") if at is not None else ""


def _print_new(made: NewKey) -> None:
    _say(f"{made.key.kind} key {made.key.id} ({made.key.name}), shown this once:")
    print(made.text)


def _say(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"waymark: {text}\n")
