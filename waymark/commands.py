"""Commands: coroutines over settings; the command line parses arguments and prints errors."""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from services.lifecycle.core.explain import diagram
from services.lifecycle.wiring import load_definition
from shared.clock import Clock, SystemClock
from shared.failures import Refused
from shared.keys import credentials, generates_keys, names_given_as_write, own_key
from shared.settings import BUNDLED_CONFIG, Settings
from shared.shutdown import BUDGET
from shared.storage import check_database_url, sole_user
from waymark import command_audit, compatibility, migrations
from waymark.backup import commands as backups
from waymark.importing import ImportResult, Target, import_file
from waymark.importing import Progress as ImportProgress
from waymark.notify_client import check_address
from waymark.serving import served

_BATCH_OF_OBJECTS = 50_000
_WRITE_MEANS_SERVER = (
    "what is posted with a write key ({names}) is believed as a server's: keep it secret; for web pages: "
    "waymark keys create --kind browser --name website --origin https://app.example.com"
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def serve(settings: Settings, names: Sequence[str], clock: Clock) -> None:
    """Run services until SIGINT or SIGTERM."""
    async with served(settings, names, clock) as (_, server):
        _tune_garbage_collector()
        if settings.config == BUNDLED_CONFIG:
            sys.stderr.write(
                f"waymark: definitions are those that come with Waymark, {BUNDLED_CONFIG}: copy and change them\n"
            )
        ready = f"waymark: {', '.join(names)} on http://{settings.host}:{settings.port} - stop with Ctrl-C\n"
        if "ingest" in names and (of_write := names_given_as_write(settings)):
            ready += f"waymark: {_WRITE_MEANS_SERVER.format(names=', '.join(of_write))}\n"
        await until_stopped(server, ready)
    _exit_past_abandoned_tasks()


def _exit_past_abandoned_tasks() -> None:
    """Abandoned tasks ignore their cancellation: closing the loop would wait for them."""
    if len(asyncio.all_tasks()) > 1:
        sys.stderr.flush()
        os._exit(0)


def _tune_garbage_collector() -> None:
    """What is there now stays: the collector need not walk it again each time a batch has made some thousand objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_BATCH_OF_OBJECTS, 20, 20)


async def until_stopped(server: asyncio.Task[None], ready: str = "") -> None:
    """Until somebody presses Ctrl-C, or the server ends by itself. From then on a second signal ends the process at once.

    `ready` is written to standard error when a signal is listened to: who reads it may stop the process in order.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def asked() -> None:
        stop.set()
        for name in _SIGNALS:
            loop.remove_signal_handler(name)
            signal.signal(name, signal.SIG_DFL)

    for name in _SIGNALS:
        loop.add_signal_handler(name, asked)
    sys.stderr.write(ready)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({stopped, server}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        _start_exit_timer(loop)


def _start_exit_timer(loop: asyncio.AbstractEventLoop) -> None:
    """The process ends when its budget is spent, even if the loop or a thread hangs: hence a thread that nobody waits for."""

    def end() -> None:
        left = sorted(task.get_name() for task in asyncio.all_tasks(loop))
        sys.stderr.write(f"waymark: not stopped within {BUDGET:g} s, ended by force; under way: {', '.join(left)}\n")
        os._exit(1)

    last_resort = threading.Timer(BUDGET, end)
    last_resort.daemon = True
    last_resort.start()


async def migrate(settings: Settings, services: list[str], clock: Clock) -> None:
    """Bring the tables to the newest revision. Raises Refused while another process uses the SQLite file, and for a newer one."""
    with sole_user(settings) if check_database_url(settings) == "sqlite" else nullcontext():
        pending = await asyncio.to_thread(migrations.pending, settings, services)
        await asyncio.to_thread(compatibility.migrate, settings, services)
    if pending:
        await command_audit.record(settings, clock.now(), "tables_migrated", ", ".join(dict.fromkeys(pending)))


def differences(settings: Settings, services: list[str]) -> list[str]:
    """How the tables in the database differ from those in the code, in words where `waymark migrate` would mend it."""
    if pending := migrations.pending(settings, services):
        return [f"tables lack revisions of: {', '.join(dict.fromkeys(pending))}; run: waymark migrate"]
    return migrations.drift(settings, services)


async def backup(settings: Settings, to: Path, clock: Clock) -> None:
    """Write a backup, and say where it is."""
    file = await backups.backup(settings, to, clock.now())
    await command_audit.record(settings, clock.now(), "backup_made", command_audit.whole_path(file))
    print(f"backup: {file}")


async def restore(settings: Settings, file: Path, clock: Clock, *, replace: bool) -> None:
    """Restore a backup, and say how much it is."""
    tables = await backups.restore(settings, file, clock.now(), replace=replace)
    rows = sum(digest.rows for digest in tables.values())
    await command_audit.record(
        settings, clock.now(), "backup_restored", command_audit.whole_path(file), rows=rows, replaced=replace
    )
    print(f"restored: {rows:,} rows of {len(tables)} tables, as they were written")


async def move(settings: Settings, source: str, target: str, clock: Clock) -> None:
    """Move a database to another, and say what was moved."""
    moved = await backups.move(settings, source, target, clock.now())
    there = settings.model_copy(update={"database_url": target})
    await command_audit.record(
        there, clock.now(), "database_moved", command_audit.shown(target), source=command_audit.shown(source)
    )
    for name, digest in sorted(moved.items()):
        print(f"{name:28} {digest.rows:>12,} rows  {digest.hash}  equal in both")


async def import_history(
    settings: Settings,
    file: Path,
    url: str | None,
    key: str | None,
    batch_size: int,
    live: bool | None,
    import_id: str | None,
) -> None:
    """Post a history file, with a progress bar and the rate, and say what became of it."""
    where = url or settings.ingest_url or f"http://{settings.host}:{settings.port}"
    check_address(where)
    target = Target(where, key or own_key(settings, "server", "import"), batch_size)
    with progress_bar("importing") as bar:
        task = bar.add_task("importing", total=None)
        done = await import_file(
            "-" if str(file) == "-" else file,
            target,
            SystemClock().now(),
            live,
            lambda progress, size: bar.update(
                task, completed=progress.bytes_read, total=size, description=_doing(progress)
            ),
            import_id,
        )
    _report(done)


def _doing(progress: ImportProgress) -> str:
    words = {"reading": "reading it through", "sorting": "sorting it by time"}
    return words.get(progress.doing, f"{progress.events:,} events")


def progress_bar(what: str) -> Progress:
    """A bar on standard error: standard output stays for results."""
    return Progress(
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _report(done: ImportResult) -> None:
    posted = done.posted
    print(f"{posted.events:,} events of {done.accounts:,} accounts in {posted.seconds:.1f} s ({posted.rate:,.0f}/s)")
    print(f"import id {done.import_id}; {posted.accepted:,} accepted, {done.skipped_count} lines could not be read")
    for number, reason in done.skipped[:10]:
        print(f"  line {number}: {reason}")
    if done.unsorted:
        print(
            f"  the file was not in order of time (first at line {done.unsorted.number:,}; lines that came late: "
            f"{done.unsorted.lines:,}): it was sorted by time before it was sent"
        )
    if not posted.events and done.skipped_count:
        raise Refused("nothing was imported: no line could be read as a Segment record")
    if not done.live:
        print("  the accounts' clocks stay where the file ended; --live hands them to the wall clock")


def stage_diagram(settings: Settings) -> str:
    """The stage machine of the definitions, as Mermaid text."""
    return diagram(load_definition(settings))


def show_keys(settings: Settings) -> None:
    """Print the generated keys. Raises Refused where none of them would be accepted."""
    if not generates_keys(settings):
        raise Refused("the keys are those of WAYMARK_KEYS, none were generated; `waymark keys list` names them")
    for name, value in credentials(settings.data)._asdict().items():
        if name != "secret":
            print(f"{name:6} {value}")
