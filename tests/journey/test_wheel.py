"""The wheel: one name in somebody's environment, and everything it needs inside it, the default definitions too."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.servers.ports import free_port
from deploy.servers.process import run
from tests.conftest import ROOT

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
BUILD_TOOLS = ROOT / ".venv" / "build"


class Installed(NamedTuple):
    """An environment with the wheel, and an empty folder to work in. The dependencies are those of the tests."""

    environment: Path
    folder: Path
    environ: dict[str, str]

    def waymark(self, *arguments: str) -> tuple[int, str]:
        """Run the installed command."""
        command = [str(self.environment / "bin" / "waymark"), *arguments]
        return run(command, cwd=self.folder, environ=self.environ)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WAYMARK_", "PYTHON"))}
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(ROOT)]
    done(run([*PIP, *build], cwd=folder, environ=clean | {"PYTHONPATH": str(BUILD_TOOLS)}))
    [wheel] = folder.glob("*.whl")
    environment = folder / "environment"
    done(run([sys.executable, "-m", "venv", "--without-pip", str(environment)], cwd=folder, environ=clean))
    install = ["--python", str(environment / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel)]
    done(run([*PIP, *install], cwd=folder, environ=clean))
    empty = folder / "empty"
    empty.mkdir()
    # no .pth file of a folder on PYTHONPATH is read: the checkout is not importable there
    return Installed(environment, empty, clean | {"PYTHONPATH": sysconfig.get_path("purelib")})


def done(result: tuple[int, str]) -> None:
    assert result[0] == 0, result[1]


def test_it_installs_one_name(installed: Installed) -> None:
    [packages] = installed.environment.glob("lib/python*/site-packages")
    names = {path.name for path in packages.iterdir()} - {"__pycache__"}
    assert {re.sub(r"-[\d.]+\.dist-info", ".dist-info", name) for name in names} == {"waymark", "waymark.dist-info"}


def test_it_finds_itself_and_not_the_checkout(installed: Installed) -> None:
    code = "import waymark, services.notify, shared.settings; print(services.notify.__file__, shared.__file__)"
    status, said = run(
        [str(installed.environment / "bin" / "python"), "-c", code], cwd=installed.folder, environ=installed.environ
    )
    assert status == 0, said
    assert all(path.startswith(str(installed.environment)) for path in said.split()), said


def test_it_tells_what_it_can_do(installed: Installed) -> None:
    status, said = installed.waymark("--help")
    assert status == 0
    assert "migrate" in said


def test_it_makes_its_tables_in_an_empty_folder(installed: Installed) -> None:
    assert installed.waymark("migrate") == (0, "tables are up to date\n")
    assert installed.waymark("migrate", "--check") == (0, "tables and code agree\n")
    assert (installed.folder / ".waymark" / "waymark.db").exists()


def test_it_serves_every_service_with_the_definitions_that_come_with_it(installed: Installed) -> None:
    port = free_port()
    serving = subprocess.Popen(  # noqa: S603  the command is ours
        [str(installed.environment / "bin" / "waymark"), "up"],
        cwd=installed.folder,
        env=installed.environ | {"WAYMARK_PORT": str(port)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert serving.stderr is not None
    try:
        said = [serving.stderr.readline() for _ in range(3)]
    finally:
        serving.terminate()
        serving.communicate(timeout=60)
    assert "definitions are those that come with Waymark" in said[0], said
    assert str(installed.environment) in said[0]
    assert f"ingest, lifecycle, notify, advocacy, console on http://127.0.0.1:{port}" in said[1], said
    assert "is believed as a server's: keep it secret" in said[2], said
    assert serving.returncode == 0


def test_scaled_out_it_does_not_run_on_definitions_that_nobody_chose(installed: Installed) -> None:
    scaled = {
        "WAYMARK_DATABASE_URL": "postgresql+asyncpg://nobody@127.0.0.1:1/none",
        "WAYMARK_BUS_URL": "kafka://127.0.0.1:1",
    }
    code = "import waymark; from shared.settings import Settings; print(Settings().config)"
    python = str(installed.environment / "bin" / "python")
    assert run([python, "-c", code], cwd=installed.folder, environ=installed.environ | scaled) == (0, "config\n")
