"""Command line: parses arguments, and says in one sentence what went wrong. Run `waymark --help`.

A command imports what it does when it runs: help, completion and a mistyped option answer without loading a service.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from shared.settings import Settings
    from waymark.notify_client import Target

SERVICES = ("ingest", "lifecycle", "notify", "advocacy", "console")
KEY_KINDS = ("browser", "server", "import", "read", "admin")
RATES = ("events_per_minute", "bytes_per_minute", "accounts_per_hour", "contacts_per_hour")
TIMES = ("days_back", "minutes_ahead", "import_days_back")
"""As the help names them; a test holds these to what is there."""
_WRITE_KEY = "WAYMARK_WRITE_KEY"
_ADMIN_KEY = "WAYMARK_ADMIN_KEY"
_OWN_VARIABLES = (_WRITE_KEY, _ADMIN_KEY)
"""Variables of single commands, besides the settings."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"waymark {version('waymark')}")
        raise typer.Exit


@app.callback()
def waymark(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    """Customer success, self-hosted: every account at a known stage, the right help out once."""


@app.command()
def up() -> None:
    """Run every service in this process, on SQLite unless WAYMARK_DATABASE_URL and WAYMARK_BUS_URL say otherwise."""
    from shared.clock import SystemClock
    from waymark import commands

    _do(commands.serve(_settings(), list(SERVICES), SystemClock()))


@app.command()
def run(service: Annotated[str, typer.Argument(help=f"one of: {', '.join(SERVICES)}")]) -> None:
    """Run one service; any number of processes may run the same one."""
    from shared.clock import SystemClock
    from waymark import commands

    if service not in SERVICES:
        raise typer.BadParameter(f"'{service}' is not one of {', '.join(SERVICES)}")
    _do(commands.serve(_settings(), [service], SystemClock()))


@app.command()
def migrate(
    check: Annotated[bool, typer.Option(help="change nothing; fail when tables and code differ")] = False,
    revise_service: Annotated[
        str | None, typer.Option("--revise", help="write a new revision for this service")
    ] = None,
    message: Annotated[str, typer.Option(help="what the revision does")] = "change tables",
    source: Annotated[
        str | None, typer.Option("--from", help="with --to: move this database (a URL as of WAYMARK_DATABASE_URL)")
    ] = None,
    target: Annotated[str | None, typer.Option("--to", help="into this one, which is empty")] = None,
) -> None:
    """Bring the database's tables to the newest revision; with --from and --to, move all of it to another database."""
    from shared.clock import SystemClock
    from waymark import commands, migrations

    settings, services = _settings(), list(migrations.OWNERS)
    if source or target:
        if not (source and target):
            raise typer.BadParameter("--from and --to come together")
        _do(commands.move(settings, source, target, SystemClock()))
        return
    if revise_service:
        _guarded(lambda: typer.echo(migrations.revise(migrations.history_named(revise_service), message)))
        return
    if check:
        drift: list[str] = []
        _guarded(lambda: drift.extend(commands.differences(settings, services)))
        typer.echo("\n".join(drift) or "tables and code agree")
        raise typer.Exit(bool(drift))
    _do(commands.migrate(settings, services, SystemClock()))
    typer.echo("tables are up to date")


@app.command()
def backup(
    to: Annotated[Path, typer.Argument(help="a file that does not exist yet, or a folder")],
) -> None:
    """Write the whole database to one file, while the services go on."""
    from shared.clock import SystemClock
    from waymark import commands

    _do(commands.backup(_settings(), to, SystemClock()))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="what `waymark backup` wrote")],
    replace: Annotated[bool, typer.Option(help="where there are data: keep them under another name")] = False,
) -> None:
    """Put a backup in the place of the database, while no service runs."""
    from shared.clock import SystemClock
    from waymark import commands

    _do(commands.restore(_settings(), file, SystemClock(), replace=replace))


@app.command("import")
def import_history(
    file: Annotated[Path, typer.Argument(help="NDJSON, plain or gzip; - reads standard input")],
    url: Annotated[str | None, typer.Option(help="where ingest answers")] = None,
    key: Annotated[str | None, typer.Option(envvar=_WRITE_KEY, help="a write key")] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=5000)] = 500,
    live: Annotated[bool | None, typer.Option(help="hand the accounts to the wall clock when the file ends")] = None,
    import_id: Annotated[
        str | None,
        typer.Option("--id", help="the import's id: a file with the same is the same import; else from its content"),
    ] = None,
) -> None:
    """Post history through the same road as live events, in the order of the events' own times, whatever the file's; nothing is sent."""
    from waymark import commands

    _do(commands.import_history(_settings(), file, url, key, batch_size, live, import_id))


@app.command()
def replay(
    to: Annotated[
        str, typer.Option("--to", help="an empty database (a URL as of WAYMARK_DATABASE_URL) for what comes of it")
    ],
    account: Annotated[str | None, typer.Option(help="this account only")] = None,
    partition: Annotated[int | None, typer.Option(help="the accounts of this partition only")] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="an event's id: show what would be so without it; may be given several times"),
    ] = None,
) -> None:
    """Make accounts once more, from the archive and the journal, in another database; fail where they differ from those here."""
    from shared.clock import SystemClock
    from waymark import replay as replaying

    equal = list[bool]()

    async def run() -> None:
        found = await replaying.replay(
            _settings(), to, SystemClock(), replaying.Scope(account, partition, without or [])
        )
        typer.echo(replaying.report(found))
        equal.append(all(one.equal for one in found.values()))

    _do(run())
    raise typer.Exit(0 if equal == [True] or without else 1)


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="end after printing instead of serving")] = False,
    seed: Annotated[int, typer.Option(help="another company")] = 7,
    reset: Annotated[bool, typer.Option(help="remove the demo that is there, and what was done in it")] = False,
) -> None:
    """A demo company dated to today through the real services: funnel, one account's story, outreach that would go out."""
    from shared.clock import SystemClock
    from waymark.demo.command import run_demo
    from waymark.serving import first_free

    settings = _settings()
    if "port" not in settings.model_fields_set:
        settings = settings.model_copy(update={"port": first_free(settings.host, settings.port)})
    _do(run_demo(settings, SystemClock(), seed, once=once, reset=reset, ask=_asked))


@app.command()
def diagram() -> None:
    """Print the stage machine of the definitions as Mermaid text."""
    from waymark import commands

    settings = _settings()
    _guarded(lambda: typer.echo(commands.stage_diagram(settings)))


@app.command()
def doctor(
    mail_to: Annotated[str | None, typer.Option(help="send a test mail to this address, which is yours")] = None,
) -> None:
    """Say what is missing before customers are written to, and what is wrong with this machine; fail while something is."""
    from shared.clock import SystemClock
    from waymark import doctor as waymark_doctor

    settings, well = _settings(), list[bool]()

    async def examine() -> None:
        well.append(await waymark_doctor.examine(settings, SystemClock(), mail_to))

    _do(examine())
    raise typer.Exit(0 if well == [True] else 1)


keys_app = typer.Typer(
    help="Show this installation's own keys (they are secrets); or create, change, list, rotate, revoke others."
)
app.add_typer(keys_app, name="keys")


@keys_app.callback(invoke_without_command=True)
def keys(context: typer.Context) -> None:
    """Show the generated keys, unless a command of its own follows."""
    from waymark import commands

    if context.invoked_subcommand is None:
        settings = _settings()
        _guarded(lambda: commands.show_keys(settings))


@keys_app.command("create")
def create_key(
    kind: Annotated[str, typer.Option(help=f"one of: {', '.join(KEY_KINDS)}")],
    name: Annotated[str, typer.Option(help="names the key, and the source of its events; unset: after its kind")] = "",
    origin: Annotated[
        list[str] | None, typer.Option(help="a page that may use it, as https://app.example.com; repeat it for more")
    ] = None,
    rate: Annotated[
        list[str] | None, typer.Option(help=f"RATE=NUMBER, other than the settings: {', '.join(RATES)}")
    ] = None,
    time: Annotated[
        list[str] | None,
        typer.Option(help=f"BOUND=NUMBER, how far an event's time is believed: {', '.join(TIMES)}"),
    ] = None,
    valid_for: Annotated[str | None, typer.Option(help="as 90d; unset: until it is revoked")] = None,
) -> None:
    """Issue a key and print it, once: a browser's (public), a server's, or one to import, read or administer with."""
    from waymark import keys as waymark_keys

    _do(waymark_keys.create(_settings(), kind, name, origin or [], rate or [], time or [], valid_for))


@keys_app.command("set")
def change_key(
    key: Annotated[str, typer.Argument(help="the key's id, as `waymark keys list` shows it")],
    origin: Annotated[
        list[str] | None, typer.Option(help="a page that may use it, in place of those before; repeat it for more")
    ] = None,
    any_origin: Annotated[bool, typer.Option("--any-origin", help="any page may use it")] = False,
    rate: Annotated[
        list[str] | None, typer.Option(help=f"RATE=NUMBER, or RATE=default for the settings': {', '.join(RATES)}")
    ] = None,
    time: Annotated[
        list[str] | None, typer.Option(help=f"BOUND=NUMBER, or BOUND=default, likewise: {', '.join(TIMES)}")
    ] = None,
) -> None:
    """Change the origins, rates and times of a source: of this key and of every live key of its name."""
    from waymark import keys as waymark_keys

    if origin and any_origin:
        raise typer.BadParameter("--origin and --any-origin exclude each other")
    origins = [] if any_origin else origin
    _do(waymark_keys.change(_settings(), key, origins, rate or [], time or []))


@keys_app.command("list")
def list_keys() -> None:
    """Every key with its kind, its state and when it was last used, never its text."""
    from waymark import keys as waymark_keys

    _do(waymark_keys.print_all(_settings()))


@keys_app.command("rotate")
def rotate_key(
    key: Annotated[str, typer.Argument(help="the key's id, as `waymark keys list` shows it")],
    old_valid_for: Annotated[str, typer.Option(help="how long the old key stays valid; 0m ends it at once")] = "7d",
) -> None:
    """Issue a key's successor and print it, once: the same name, kind, origins, rates and times."""
    from waymark import keys as waymark_keys

    _do(waymark_keys.rotate(_settings(), key, old_valid_for))


@keys_app.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="the key's id, as `waymark keys list` shows it")]) -> None:
    """Accept a key no longer; running processes know within seconds."""
    from waymark import keys as waymark_keys

    _do(waymark_keys.revoke(_settings(), key))


suppressions_app = typer.Typer(help="Addresses that are not written to: import a list, export it, hand in bounces.")
app.add_typer(suppressions_app, name="suppressions")
_NotifyUrl = Annotated[str | None, typer.Option(help="where notify answers")]
_AdminKey = Annotated[str | None, typer.Option(envvar=_ADMIN_KEY, help="an admin key")]


@suppressions_app.command("import")
def import_suppressions(
    file: Annotated[
        Path, typer.Argument(help="CSV with a column address or email, or an address a line; - reads standard input")
    ],
    url: _NotifyUrl = None,
    key: _AdminKey = None,
) -> None:
    """Write to the addresses of this list no more; columns reason, topic, at and detail are read where they are there."""
    from waymark import suppressions as waymark_suppressions

    _do(waymark_suppressions.import_file(file, _notify(url, key)))


@suppressions_app.command("export")
def export_suppressions(url: _NotifyUrl = None, key: _AdminKey = None) -> None:
    """Print the list as CSV, as `import` reads it."""
    from waymark import suppressions as waymark_suppressions

    _do(waymark_suppressions.export(_notify(url, key)))


@suppressions_app.command("report")
def hand_in_report(
    file: Annotated[Path, typer.Argument(help="a bounce or complaint as it came by mail; - reads standard input")],
    url: _NotifyUrl = None,
    key: _AdminKey = None,
) -> None:
    """Hand in a report that came as mail: a delivery status notification or an abuse report."""
    from waymark import suppressions as waymark_suppressions

    target, raw = _notify(url, key), bytearray()
    _guarded(lambda: raw.extend(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()))
    _do(waymark_suppressions.hand_in_report(bytes(raw), target))


outbox_app = typer.Typer(
    help="The outbox of a running notify: approve what waits after the first sends, send again what failed."
)
app.add_typer(outbox_app, name="outbox")


@outbox_app.command("approve")
def approve_sends(url: _NotifyUrl = None, key: _AdminKey = None) -> None:
    """The first messages were looked at: let the rest go, for good."""
    from waymark import notify_client

    _do(notify_client.approve_sends(_notify(url, key)))


@outbox_app.command("redrive")
def redrive(
    delivery: Annotated[str | None, typer.Argument(help="a delivery's id; none: all that failed")] = None,
    play: Annotated[str | None, typer.Option(help="only those of this play")] = None,
    channel: Annotated[str | None, typer.Option(help="only those of this channel")] = None,
    url: _NotifyUrl = None,
    key: _AdminKey = None,
) -> None:
    """Send again what failed. Each is asked again: what is no longer true is left out, nothing in doubt is sent twice."""
    from waymark import notify_client

    _do(notify_client.redrive_deliveries(_notify(url, key), delivery, play, channel))


def main() -> None:
    """The console script."""
    app()


def _asked(question: str) -> bool:
    """Whether somebody at a terminal says yes."""
    return sys.stdin.isatty() and typer.confirm(question)


def _settings() -> Settings:
    from pydantic import ValidationError

    from shared import log
    from shared.settings import Settings, unknown_variables

    try:
        settings = Settings()
    except ValidationError as error:
        for wrong in error.errors():
            _complain(f"WAYMARK_{str(wrong['loc'][0]).upper()}: {wrong['msg'].removeprefix('Value error, ')}")
        raise typer.Exit(2) from None
    log.configure(settings.log_format)
    for name, nearest in unknown_variables(os.environ, _OWN_VARIABLES).items():
        hint = f"; did you mean {nearest}?" if nearest else ""
        _complain(f"warning: {name} is not a setting, and is ignored{hint}")
    return settings


def _notify(url: str | None, key: str | None) -> Target:
    from waymark import notify_client

    settings, found = _settings(), list[notify_client.Target]()
    _guarded(lambda: found.append(notify_client.target_of(settings, url, key)))
    return found[0]


def _do(work: Awaitable[Any]) -> None:
    import asyncio

    from waymark.serving import event_loop

    async def doing() -> Any:
        return await work

    def run() -> None:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            runner.run(doing())

    _guarded(run)


def _guarded(work: Any) -> None:
    """Expected errors become one sentence; others keep their traceback."""
    from shared.db.errors import in_words, is_infrastructure
    from shared.definitions import DefinitionError
    from shared.failures import Failure

    try:
        work()
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (Failure, DefinitionError) as error:
        _complain(str(error))
        raise typer.Exit(1) from None
    except Exception as error:
        if is_infrastructure(error):
            _complain(in_words(error))
        elif isinstance(error, OSError) and error.filename is not None:
            _complain(f"{error.filename}: {error.strerror}")
        else:
            raise
        raise typer.Exit(1) from None


def _complain(text: str) -> None:
    sys.stderr.write(f"waymark: {text}\n")
