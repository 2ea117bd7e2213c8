"""The tour is the way that the product takes: its files run, and its figures are those of the counting command."""

import re
from pathlib import Path

from tests.contract.house.files import ROOT
from tests.journey.count_road import counted

TOUR = (ROOT / "docs" / "tour.md").read_text("utf8")
_LINK = re.compile(r"\]\(\.\./([\w/]+\.py)\)")
_FIGURES = re.compile(r"^\| now \| (\d+) \| (\d+) \| (\d+) files, (\d+) functions \|$", re.MULTILINE)
_NEAR = 6  # a look at the clock more or less, and another file has run: a slow machine takes more of them
BESIDE_THE_WAY = {
    "services/advocacy/core/ledger.py": "advocacy books nothing for a first use",
    "shared/bus/kafka.py": "scaled out only",
    "shared/bus/relay.py": "scaled out only",
    "shared/db/postgres.py": "scaled out only",
    "shared/storage.py": "before the first event",
    "waymark/assembly.py": "before the first event",
}
"""Files that the tour names and that do not run on the way, each with its reason."""


async def test_the_files_of_the_tour_are_on_the_way_and_its_figures_are_counted(tmp_path: Path) -> None:
    road = await counted(ROOT, tmp_path)
    (stated,) = ([int(figure) for figure in found.groups()] for found in _FIGURES.finditer(TOUR))

    assert {*_LINK.findall(TOUR)} - BESIDE_THE_WAY.keys() - road.functions.keys() == set()
    assert {*BESIDE_THE_WAY} & road.functions.keys() == set()
    files, functions, *_ = stated
    assert abs(files - len(road.functions)) <= _NEAR
    assert abs(functions - sum(road.functions.values())) <= 5 * _NEAR
