"""Errors for an operator: one sentence that says what and what to do, never a traceback."""

import asyncio
import fcntl
import os
import shutil
import socket
import sys
from pathlib import Path

import pytest

from deploy.servers.ports import free_port
from tests.conftest import ROOT


async def waymark(*arguments: str, **variables: str) -> tuple[int, str]:
    """Run the command line as a process of its own: exit status and standard error."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WAYMARK_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "waymark",
        *arguments,
        cwd=ROOT,
        env={**clean, **{f"WAYMARK_{name}": value for name, value in variables.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        pytest.fail("it went on running")
    return process.returncode or 0, errors.decode()


async def refused(*arguments: str, **variables: str) -> str:
    """What it says when it refuses."""
    status, errors = await waymark(*arguments, **variables)
    assert status != 0
    assert "Traceback" not in errors, errors
    return errors


async def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        errors = await refused("up", DATA=str(tmp_path), PORT=port)
    assert f"port {port} is taken" in errors
    assert "WAYMARK_PORT" in errors


async def test_a_database_that_does_not_answer_is_said_to_be_that(tmp_path: Path) -> None:
    url = f"postgresql+asyncpg://u:p@127.0.0.1:{free_port()}/db"
    errors = await refused("migrate", DATA=str(tmp_path), DATABASE_URL=url, BUS_URL="kafka://127.0.0.1:1")
    assert "does not answer" in errors


async def test_a_log_that_does_not_answer_is_named(tmp_path: Path) -> None:
    port = free_port()
    url = f"postgresql+asyncpg://u:p@127.0.0.1:{free_port()}/db"
    variables = {
        "DATA": str(tmp_path),
        "DATABASE_URL": url,
        "BUS_URL": f"kafka://127.0.0.1:{port}",
        "PORT": str(free_port()),
    }
    errors = await refused("run", "ingest", **variables)
    assert "does not answer" in errors or "no Kafka broker answers" in errors


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DATABASE_URL": "mysql://h/d"}, "cannot use 'mysql'"),
        ({"DATABASE_URL": "nonsense"}, "not a URL"),
        ({"DATABASE_URL": "postgresql+asyncpg://h/d"}, "WAYMARK_BUS_URL is unset"),
        ({"BUS_URL": "amqp://h"}, "'amqp' is not a log we know"),
        ({"BUS_URL": "kafka://h:1"}, "set WAYMARK_DATABASE_URL to PostgreSQL"),
        ({"PORT": "many"}, "WAYMARK_PORT"),
        ({"KEYS": "write:short:x"}, "not kind:name:key"),
        ({"OUTREACH": "loud"}, "WAYMARK_OUTREACH"),
    ],
)
async def test_a_setting_that_cannot_work_is_refused_before_anything_is_touched(
    variables: dict[str, str], said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    assert said in await refused("up", **{"DATA": str(folder), "PORT": str(free_port())} | variables)


async def test_a_mistake_in_the_definition_has_file_line_and_a_suggestion(tmp_path: Path) -> None:
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    definition = config / "lifecycle.yaml"
    text = definition.read_text("utf8").replace("days_since_core_use >= 14", "days_since_core_usee >= 14", 1)
    line = text[: text.index("days_since_core_usee")].count("\n") + 1
    definition.write_text(text, "utf8")
    errors = await refused("up", DATA=str(tmp_path / "data"), CONFIG=str(config), PORT=str(free_port()))
    assert f"lifecycle.yaml:{line}:" in errors
    assert "days_since_core_use'" in errors


async def test_a_second_process_on_the_same_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "waymark.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        errors = await refused("up", DATA=str(tmp_path), PORT=str(free_port()))
    assert "another Waymark uses" in errors


async def test_a_missing_history_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.ndjson"
    errors = await refused("import", str(missing), DATA=str(tmp_path), PORT=str(free_port()))
    assert f"waymark: there is no file {missing} to import\n" in errors


async def test_a_missing_definition_is_named(tmp_path: Path) -> None:
    errors = await refused("up", DATA=str(tmp_path), CONFIG=str(tmp_path / "nowhere"), PORT=str(free_port()))
    assert "nowhere/lifecycle.yaml" in errors
    assert "answer" not in errors
    assert len(errors.splitlines()) == 1


async def test_definitions_that_nest_too_deeply_are_a_sentence(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config" / "lifecycle.yaml").write_text("a: " + "[" * 100_000, "utf8")
    errors = await refused("up", DATA=str(tmp_path), CONFIG=str(tmp_path / "config"), PORT=str(free_port()))
    assert "lifecycle.yaml:1: " in errors
    assert len(errors.splitlines()) == 1


async def test_a_variable_that_is_no_setting_is_warned_of_with_the_nearest_one(tmp_path: Path) -> None:
    status, errors = await waymark("migrate", DATA=str(tmp_path), PROT="8001", QWERTYUIOP="1", WRITE_KEY="of import")
    assert status == 0
    assert "WAYMARK_PROT is not a setting, and is ignored; did you mean WAYMARK_PORT?" in errors
    assert "WAYMARK_QWERTYUIOP is not a setting, and is ignored\n" in errors
    assert "WRITE_KEY" not in errors


@pytest.mark.parametrize("name", ["foo", "console"])
async def test_a_revision_of_no_history_names_those_there_are(name: str, tmp_path: Path) -> None:
    errors = await refused("migrate", "--revise", name, DATA=str(tmp_path))
    assert (
        errors
        == f"waymark: there is no history '{name}'; there are: bus, access, ingest, lifecycle, notify, advocacy\n"
    )


async def test_the_diagram_of_a_definition_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert "lifecycle.yaml" in await refused("diagram", CONFIG=str(tmp_path))
