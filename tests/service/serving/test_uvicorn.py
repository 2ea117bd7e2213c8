"""What our connection takes for granted of uvicorn: fails on a version that nobody has looked at."""

import inspect
from importlib.metadata import requires, version

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from tests.conftest import ROOT
from waymark.serving import UVICORN, Connection

OVERRIDDEN = {
    "_start_asgi_task": ["self", "cycle", "app"],
    "connection_lost": ["self", "exc"],
    "connection_made": ["self", "transport"],
    "data_received": ["self", "data"],
    "on_body": ["self", "body"],
    "on_header": ["self", "name", "value"],
    "on_headers_complete": ["self"],
    "on_message_begin": ["self"],
    "on_message_complete": ["self"],
    "on_response_complete": ["self"],
    "on_url": ["self", "url"],
    "pause_writing": ["self"],
    "resume_writing": ["self"],
    "send_400_response": ["self", "msg"],
}
"""Method of uvicorn's protocol, and its parameters."""
READ = {"connections", "cycle", "loop", "server_state", "tasks", "transport"}
"""Attributes of uvicorn's protocol."""


def test_the_installed_uvicorn_is_the_one_that_was_looked_at() -> None:
    assert version("uvicorn") == UVICORN, "compare what is listed below with the new version, then raise UVICORN"


def test_no_other_uvicorn_can_be_installed_with_us() -> None:
    [named] = [line for line in requires("waymark") or [] if line.startswith("uvicorn")]
    assert f'"uvicorn[standard]=={UVICORN}"' in (ROOT / "pyproject.toml").read_text("utf8")
    assert named.endswith(f"=={UVICORN}"), "install the project anew"


def test_what_is_overridden_is_there_and_takes_the_same() -> None:
    own = {name for name, value in vars(Connection).items() if inspect.isfunction(value)}
    assert own & set(dir(HttpToolsProtocol)) - {"__init__"} == OVERRIDDEN.keys()
    for name, parameters in OVERRIDDEN.items():
        assert list(inspect.signature(getattr(HttpToolsProtocol, name)).parameters) == parameters, name


def test_what_is_read_is_there() -> None:
    source = inspect.getsource(HttpToolsProtocol.__init__)
    assert {name for name in READ if f"self.{name}" not in source} == set()
    assert "self.response_complete" in inspect.getsource(RequestResponseCycle.__init__)
    assert STATUS_LINE[408].startswith(b"HTTP/1.1 408 ")


def test_no_name_of_ours_hides_one_of_uvicorns() -> None:
    """An attribute that a new version sets would be overwritten by ours, or ours by it."""
    theirs = {
        line.split("=")[0].strip() for line in inspect.getsource(HttpToolsProtocol).splitlines() if "self." in line
    }
    ours = {name for name in Connection.__init__.__code__.co_names if name.startswith("_") and name != "__init__"}
    assert not {name for name in ours if any(f"self.{name}" == one.split(":")[0] for one in theirs)}
