"""Link check: every path, link and anchor that a page names exists."""

import re
from pathlib import Path

import pytest

from tests.contract.house.files import ROOT, tracked

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_PATH = re.compile(r"(?:[\w.*-]+/)+(?:[\w*-]+\.\w+)?|[\w-]+\.(?:py|md|ya?ml|toml|lock|txt|j2|html|css|sql|sh)")
_NEW = re.compile(r"^Write `[^`]+`:$", re.MULTILINE)  # a how-to says what to write
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_NOT_OF_A_SLUG = re.compile(r"[^\w\- ]")
_ALL = tracked()
_TOPS = {path.parts[0] for path in _ALL}
_NAMES = {path.name for path in _ALL} | {f"{part}/" for path in _ALL for part in path.parts[:-1]}
_MADE = (".env", ".waymark/", "bench/results/latest.json", "results/latest.json")  # a command writes them
_CONFIG = ROOT / "config"
PAGES = [path for path in _ALL if path.suffix == ".md" and path.parts[0] != "config"]


def paths(text: str) -> set[str]:
    """Paths in `code` outside fenced blocks. Routes, topics and commands are none."""
    named = {span.strip().partition(":")[0] for span in _SPAN.findall(_NEW.sub("", _FENCE.sub("", text)))}
    return {name for name in named if _PATH.fullmatch(name) or name.partition("/")[0] in _TOPS} - {*_MADE}


def links(text: str) -> set[str]:
    """Targets of links to files and headings of ours."""
    return {target for target in _LINK.findall(_FENCE.sub("", text)) if not re.match(r"[a-z]+:", target)}


def anchors(text: str) -> set[str]:
    """The anchors that a forge gives the headings of a page: lower case, spaces to hyphens, repetitions numbered."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = _LINK.sub(lambda link: link[0].partition("]")[0][1:], heading)
        slug = _NOT_OF_A_SLUG.sub("", plain.lower()).replace(" ", "-")
        found.add(next(name for name in (slug, *(f"{slug}-{number}" for number in range(1, 99))) if name not in found))
    return found


def exists(name: str, page: Path) -> bool:
    """A path seen from the root, config/ or the page's folder; a star is anything; a bare name is any file's or folder's."""
    return name in _NAMES or any(any(start.glob(name.rstrip("/"))) for start in (ROOT, (ROOT / page).parent, _CONFIG))


def leads_somewhere(target: str, page: Path) -> bool:
    """A link is read as a browser reads it: from the page's folder; its anchor is a heading of the page it leads to."""
    file, _, anchor = target.partition("#")
    aim = (ROOT / page).parent / file if file else ROOT / page
    if not aim.exists() or not aim.resolve().is_relative_to(ROOT):
        return False
    return not anchor or aim.suffix != ".md" or anchor in anchors(aim.read_text("utf8"))


def gone(text: str, page: Path) -> list[str]:
    """What the page names and is not there."""
    missing = {name for name in paths(text) if not exists(name, page)}
    return sorted(missing | {target for target in links(text) if not leads_somewhere(target, page)})


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_path_and_link_of_a_page_exists(page: Path) -> None:
    assert gone((ROOT / page).read_text("utf8"), page) == []


def test_a_path_is_told_from_a_route_a_topic_and_a_command() -> None:
    text = "`services/ingest/http.py:12` `POST /v1/batch` `/v1/batch` `usage.v1` `application/json` `shared/bus/` `make up`"
    more = "`handlers.py` `services/*/core/` `tests/core` `gone/x.py`\n```\n`in/a/fence.py`\n```\n"

    assert paths(text) == {"services/ingest/http.py", "shared/bus/"}
    assert paths(more) == {"handlers.py", "services/*/core/", "tests/core", "gone/x.py"}
    assert links("[x](decisions/one.md#a) [y](https://example.com/z.md) [z](#here)") == {"decisions/one.md#a", "#here"}


def test_headings_get_the_anchors_that_a_forge_gives_them() -> None:
    text = (
        "# How it works\n## `GET /v1/x`: a list\n## A [link](x.md), again\n## Again\n## Again\n```\n# a comment\n```\n"
    )

    assert anchors(text) == {"how-it-works", "get-v1x-a-list", "a-link-again", "again", "again-1"}


def test_what_is_gone_is_found() -> None:
    page = Path("docs/tour.md")
    paths_gone = "`services/ingest/gone.py` `gone.py` `services/gone/` `gone/*.py`"
    links_gone = "[a](gone.md) [b](../README.md#no-such-heading) [c](#no-such-heading) [d](../../outside.md)"
    there = "`services/ingest/wiring.py` `wiring.py` `shared/bus/` `services/*/core/` [a](../README.md#speed) [b](promises.md)"

    assert len(gone(f"{paths_gone} {links_gone}", page)) == 8
    assert gone(there, page) == []
