"""Does the tour lead anywhere? Every path that docs/tour.md names exists."""

import re

from tests.contract.house.files import ROOT, tracked

TOUR = ROOT / "docs" / "tour.md"
_SPAN = re.compile(r"`([^`\n]+)`")
_TARGET = re.compile(r"\]\(([^)\s#]+)")
_PATH = re.compile(r"(?:[\w.*-]+/)+(?:[\w*-]+\.\w+)?|[\w-]+\.(?:py|md|ya?ml|toml|lock|txt|j2|html|css|sql|sh)")
_TOPS = {path.parts[0] for path in tracked()}


def paths(text: str) -> set[str]:
    """What stands there as a path: in `code`, and where links lead. Routes, topics and commands are none."""
    named = {span.strip().partition(":")[0] for span in _SPAN.findall(text)}
    linked = {target for target in _TARGET.findall(text) if "://" not in target}
    return {name for name in named if _PATH.fullmatch(name) or name.partition("/")[0] in _TOPS} | linked


def exists(name: str) -> bool:
    """Seen from the root or from docs/; a star stands for anything, a bare file name for that file anywhere."""
    if "/" not in name and "*" not in name and any(path.name == name for path in tracked()):
        return True
    return any(any(start.glob(name.rstrip("/"))) for start in (ROOT, TOUR.parent))


def test_every_path_in_the_tour_exists() -> None:
    found = paths(TOUR.read_text("utf8"))

    assert found, "a tour that names no file is none"
    assert sorted(name for name in found if not exists(name)) == []


def test_a_path_is_told_from_a_route_a_topic_and_a_command() -> None:
    text = "`services/ingest/http.py:12` `POST /v1/batch` `/v1/batch` `usage.v1` `application/json` `shared/bus/` `make up`"
    more = "[x](decisions/one.md#a) [y](https://example.com/z.md) `handlers.py` `services/*/core/` `tests/core` `gone/x.py`"

    assert paths(text) == {"services/ingest/http.py", "shared/bus/"}
    assert paths(more) == {"decisions/one.md", "handlers.py", "services/*/core/", "tests/core", "gone/x.py"}


def test_a_path_that_is_gone_is_found() -> None:
    gone = ["services/ingest/gone.py", "gone.py", "services/gone/", "gone/*.py", "../docs/gone.md"]
    there = ["services/ingest/wiring.py", "wiring.py", "shared/bus/", "services/*/core/", "Makefile", "../README.md"]

    assert [name for name in gone if exists(name)] == []
    assert [name for name in there if not exists(name)] == []
