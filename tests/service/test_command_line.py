"""The command line answers what it needs no service for, without loading one."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from shared.contracts.usage import Times
from shared.keys import KINDS, Rates
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
