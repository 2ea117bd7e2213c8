"""The command line answers what it needs no service for, without loading one."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.servers.ports import free_port
from shared.contracts.usage import Times
from shared.keys import KINDS, Rates
from tests.conftest import ROOT
from waymark import cli
from waymark.assembly import WIRES

_LOADED = """
import sys
from waymark import cli
sys.argv = ["waymark", *{arguments!r}]
try:
    cli.main()
finally:
    print("loaded:", *sorted(name for name in sys.modules if name.partition(".")[0] in {{"services", "sqlalchemy", "fastapi", "aiokafka"}}))
"""


def told(*arguments: str) -> tuple[str, str]:
    """What is printed, and what had been imported of services and what they stand on."""
    done = subprocess.run(  # noqa: S603  (our own interpreter)
        [sys.executable, "-c", _LOADED.format(arguments=list(arguments))], capture_output=True, text=True, check=False
    )
    printed, _, loaded = done.stdout.partition("loaded:")
    return printed + done.stderr, loaded.strip()


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["keys", "--help"], ["demo", "--nope"]])
def test_help_and_a_mistyped_option_load_no_service(arguments: list[str]) -> None:
    printed, loaded = told(*arguments)

    assert "Usage" in printed
    assert not loaded


def test_a_command_that_works_does_load_them() -> None:
    assert "services" in told("diagram")[1]


def test_the_version_is_the_package_s() -> None:
    assert told("--version")[0] == f"waymark {version('waymark')}\n"


def test_the_help_names_what_is_there() -> None:
    assert list(cli.SERVICES) == list(WIRES)
    assert KINDS == cli.KEY_KINDS
    assert Rates._fields == cli.RATES
    assert Times._fields == cli.TIMES


def refused(data: Path, *arguments: str) -> str:
    """What a command says when it fails, as a sentence."""
    variables = {"WAYMARK_DATA": str(data), "WAYMARK_CONFIG": str(ROOT / "config")}
    done = CliRunner().invoke(cli.app, arguments, env=variables)
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 1, done.output
    assert len(done.output.splitlines()) <= 3, done.output
    return done.output


def test_a_damaged_database_is_said_to_be_that(tmp_path: Path) -> None:
    (tmp_path / "waymark.db").write_text("nothing of the kind" * 100)
    said = refused(tmp_path, "keys", "list")
    assert "the database file is damaged" in said
    assert "waymark restore --replace" in said


def test_tables_that_lack_revisions_are_named_with_the_command_that_mends_it(tmp_path: Path) -> None:
    said = refused(tmp_path, "migrate", "--check")
    assert said == "tables lack revisions of: access, bus, ingest, lifecycle, notify, advocacy; run: waymark migrate\n"


def test_a_list_in_another_encoding_is_named_with_how_to_save_it(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"address\nann@acme.io\nj\xf6rg@acme.io\n")
    said = refused(tmp_path, "suppressions", "import", str(tmp_path / "list.csv"))
    assert "is not UTF-8 (byte 0xf6): save it as CSV UTF-8" in said


@pytest.mark.parametrize("command", [["outbox", "approve"], ["suppressions", "export"], ["import", "none.ndjson"]])
def test_an_address_that_is_none_is_refused_before_anybody_is_asked(tmp_path: Path, command: list[str]) -> None:
    assert "--url acme: write https://HOST" in refused(tmp_path, *command, "--url", "acme")


def test_an_export_that_fails_has_no_first_line(tmp_path: Path) -> None:
    said = refused(tmp_path, "suppressions", "export", "--url", f"http://127.0.0.1:{free_port()}")
    assert said.startswith("waymark: notify does not answer")


def test_an_import_of_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "history.ndjson").write_text("not\njson\n")
    done = CliRunner().invoke(
        cli.app, ["import", str(tmp_path / "history.ndjson")], env={"WAYMARK_DATA": str(tmp_path)}
    )
    assert done.exit_code == 1
    assert "nothing was imported" in done.output
