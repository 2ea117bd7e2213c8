"""`waymark doctor`: what stands between this installation and live mode, and what is wrong with the machine it runs on.

It reads settings, files, the database and the log, beside processes that run or not, and greets the mail server. Everything
it finds comes with what to do; the exit code is 1 while something blocks.
"""

import asyncio
import os
import shutil
import stat
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2

from services.notify.channels.table import CHANNELS
from services.notify.readiness import Finding, Readiness
from services.notify.wiring import definition
from shared.access import keys as issued
from shared.brand import with_sender
from shared.bus.kafka import KafkaBus
from shared.clock import Clock
from shared.contracts.topics import TOPICS
from shared.db.errors import is_infrastructure
from shared.failures import Failure, Refused, described
from shared.ids import derived
from shared.keys import load_keys
from shared.settings import Settings
from shared.storage import check_urls, open_access
from waymark import command_audit, migrations

_LEAST_FREE, _LITTLE_FREE = 200 * 2**20, 2 * 2**30
_PRIVATE = 0o077
_BORN = datetime(2025, 1, 1, tzinfo=UTC)
"""A clock before this has never been set."""
_FAST = timedelta(minutes=2)
_PATIENCE = 15.0


async def examine(settings: Settings, clock: Clock, mail_to: str | None) -> bool:
    """Print what was found, and send a test mail where one is asked for. Whether nothing blocks."""
    ready = _readiness(settings, clock)
    sections = {
        "writing to customers": await ready.findings(),
        "this machine": [*_clock(clock), *_disk(settings), *_permissions(settings)],
        "database, log, keys": await _stores(settings, clock),
    }
    for name, found in sections.items():
        _print(name, found)
    sent = mail_to is None or await _test_mail(settings, ready, mail_to, clock)
    return sent and not any(one.blocks for found in sections.values() for one in found)


def _readiness(settings: Settings, clock: Clock) -> Readiness:
    """Raises DefinitionError with every mistake in the company's files."""
    defined = definition(settings)
    settings = with_sender(settings, defined.brand)
    return Readiness(settings, defined, CHANNELS.build(settings, clock.now).senders.get("email"), clock.now)


def _print(section: str, found: Sequence[Finding]) -> None:
    print(f"{section}: {'ok' if not found else ''}".rstrip())
    for one in found:
        print(f"  {'MISSING' if one.blocks else 'look at'}  {one.name}: {one.problem}")
        print(f"           {one.remedy}")


async def _test_mail(settings: Settings, ready: Readiness, to: str, clock: Clock) -> bool:
    try:
        receipt = await ready.send_test_mail(to, derived("test-mail", to, clock.now().isoformat()))
    except Refused as error:
        print(f"test mail: not sent, {error}")
        return False
    await command_audit.record(settings, clock.now(), "test_mail_sent", to, outcome=receipt.outcome)
    print(f"test mail to {to}: {receipt.outcome}, {receipt.detail}")
    return receipt.outcome == "accepted"


def _clock(clock: Clock) -> Iterable[Finding]:
    if clock.now() < _BORN:
        how = "Set it (NTP): stages, budgets and quiet hours follow it"
        yield Finding("clock", f"this machine's clock says {clock.now():%Y-%m-%d %H:%M} UTC", how)


def _disk(settings: Settings) -> Iterable[Finding]:
    """Room for the embedded database, or for the generated secrets alone."""
    free = shutil.disk_usage(_existing(settings.data)).free
    how = f"Make room where WAYMARK_DATA is ({settings.data}): a full disk stops everything"
    if free < _LITTLE_FREE:
        yield Finding("disk", f"{free / 2**20:,.0f} MiB are free", how, blocks=free < _LEAST_FREE)


def _permissions(settings: Settings) -> Iterable[Finding]:
    """Secrets and the database that others on this machine may read, and a folder that cannot be written."""
    folder = settings.data
    if not os.access(_existing(folder), os.W_OK):
        yield Finding("permissions", f"{folder} cannot be written by this user", "Give the folder to who runs Waymark")
    for path in (folder, folder / "credentials.json", *folder.glob("*.db")):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & _PRIVATE:
            how = f"chmod {'700' if path.is_dir() else '600'} {path}"
            yield Finding("permissions", f"others on this machine may open {path}", how)


def _existing(path: Path) -> Path:
    path = path.absolute()
    return path if path.exists() else _existing(path.parent)


async def _stores(settings: Settings, clock: Clock) -> list[Finding]:
    found: list[Finding] = []
    for ask in (_database, _log, _services):
        found += await _asked(ask, settings, clock)
    return sorted(found, key=lambda one: not one.blocks)


async def _asked(
    ask: Callable[[Settings, Clock], Awaitable[list[Finding]]], settings: Settings, clock: Clock
) -> list[Finding]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await ask(settings, clock)
    except Failure as error:
        return [Finding("settings", str(error), "Set it as it says")]
    except Exception as error:
        if not is_infrastructure(error) and not isinstance(error, TimeoutError):
            raise
        return [Finding("database" if ask is _database else "log", described(error), "Start it, or look at its URL")]


async def _database(settings: Settings, clock: Clock) -> list[Finding]:
    """Whether it answers, its tables are there, its clock agrees; and which keys there are."""
    check_urls(settings)
    if settings.embedded and not (settings.data / "waymark.db").exists() and settings.database_url is None:
        how = "Start it once: waymark up"
        return [Finding("database", f"nothing has run in {settings.data} yet", how, blocks=False)]
    pending = await asyncio.to_thread(migrations.pending, settings, list(migrations.OWNERS))
    if pending:
        how = "Run: waymark migrate (one process on SQLite does it when it starts)"
        return [
            Finding(
                "migrations",
                f"tables lack revisions of: {', '.join(dict.fromkeys(pending))}",
                how,
                blocks=not settings.embedded,
            )
        ]
    async with open_access(settings, clock) as database:
        server = await database.server_time()
        async with database.snapshot() as read:
            stored = await issued.live_keys(read, clock.now())
    kinds = [key.kind for key in [*load_keys(settings)[0].of_settings, *stored.values()]]
    return [*_keys(kinds), *_server_clock(server, clock)]


def _keys(kinds: Sequence[str]) -> Iterable[Finding]:
    if "browser" not in kinds:
        how = "waymark keys create --kind browser --name website --origin https://YOUR.APP"
        problem = "there is no browser key: a page that posts events with a server key gives away what is believed"
        yield Finding("keys", problem, how, blocks=False)
    for kind in ("server", "admin"):
        if kind not in kinds:
            yield Finding("keys", f"there is no {kind} key", f"waymark keys create --kind {kind}", blocks=False)


def _server_clock(server: datetime | None, clock: Clock) -> Iterable[Finding]:
    if server is not None and abs(server - clock.now()) > _FAST:
        gap = f"this machine's clock and the database server's are {abs(server - clock.now())} apart"
        yield Finding("clock", gap, "Set the one that is wrong (NTP)")


async def _log(settings: Settings, _clock: Clock) -> list[Finding]:
    """Kafka: whether it answers, and keeps the archive."""
    if settings.bus_url is None:
        return []
    servers = settings.bus_url.removeprefix("kafka://")
    bus = KafkaBus(servers, settings.topic_prefix, settings.session_seconds, settings.archive_days)
    try:
        problem = await bus.retention_problem_of([topic.name for topic in TOPICS])
    finally:
        await bus.close()
    return [Finding("log-retention", problem, "Set it on the topic")] if problem else []


async def _services(settings: Settings, _clock: Clock) -> list[Finding]:
    """What notify's readyz says, where it runs."""
    url = (settings.notify_url or f"http://{settings.host}:{settings.port}").rstrip("/")
    try:
        async with httpx2.AsyncClient(timeout=5) as http:
            answer = (await http.get(f"{url}/notify/readyz")).json()
        checks, notices = answer["checks"], answer["notices"]
    except (httpx2.TransportError, ValueError, LookupError):
        return [Finding("services", f"no notify answers at {url}", "Start it: waymark up", blocks=False)]
    wrong = {name: words for name, words in checks.items() if words != "ok"} | notices
    wrong.pop("going-live", None)  # said above, thing by thing
    return [
        Finding(name, str(words), f"See {url}/notify/readyz", blocks=name in checks) for name, words in wrong.items()
    ]
