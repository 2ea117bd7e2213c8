"""Files of the data folder are for their owner only, whatever the umask says, and those that exist are tightened at start."""

import os
import stat
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from shared.files import private_folder
from tests.conftest import embedded
from tests.journey.services import run_services


@pytest.fixture(params=[0o000, 0o022], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder: Path) -> dict[str, str]:
    """The folder and its files that anybody but the owner may do anything with."""
    return {path.name: oct(mode(path)) for path in (folder, *folder.iterdir()) if mode(path) & 0o077}


@pytest.mark.usefixtures("umask")
async def test_what_a_start_creates_is_private(tmp_path: Path) -> None:
    where = embedded(tmp_path / "data")
    async with run_services(where) as on:
        answer = await on.http.post("/v1/batch", json={"batch": []}, auth=(on.write_key, ""))

        assert {"waymark.db", "waymark.db-wal", "credentials.json"} <= {path.name for path in where.data.iterdir()}
        assert open_to_others(where.data) == {}
    assert answer.status_code == 200
    assert open_to_others(where.data) == {}


async def test_what_is_open_to_others_is_tightened_at_the_start(tmp_path: Path) -> None:
    where = embedded(tmp_path / "data")
    async with run_services(where):
        pass
    for path in (where.data, *where.data.iterdir()):
        path.chmod(0o777 if path.is_dir() else 0o666)
    async with run_services(where):
        assert open_to_others(where.data) == {}


def test_a_folder_that_holds_more_than_our_data_stays_as_it_is(tmp_path: Path) -> None:
    everybodys, working = tmp_path / "tmp", tmp_path / "working"
    for folder, its_mode in ((everybodys, 0o1777), (working, 0o755)):
        folder.mkdir()
        folder.chmod(its_mode)
    system = tmp_path / "etc"
    system.mkdir(mode=0o755)
    (system / "hosts").touch()
    private_folder(system)
    assert mode(system) == 0o755
    with chdir(working):
        for folder, its_mode in ((everybodys, 0o1777), (working, 0o755)):
            private_folder(folder)
            assert mode(folder) == its_mode


def test_a_file_in_the_place_of_the_data_folder_is_said_and_left_as_it_is(tmp_path: Path) -> None:
    """It was made 0700: with WAYMARK_DATA=/etc/passwd nobody could sign in any more."""
    file = tmp_path / "passwd"
    file.touch(mode=0o644)
    with pytest.raises(NotADirectoryError, match="passwd"):
        private_folder(file)
    assert mode(file) == 0o644
