"""The demo's folder: apart from real data, never emptied under a process, and not without asking."""

from datetime import date
from pathlib import Path

import pytest

from shared.failures import Refused
from shared.keys import credentials
from shared.settings import Settings
from shared.storage import sole_user
from waymark.demo import folder
from waymark.demo.command import closing_lines

DAY = date(2026, 3, 1)
LATER = date(2026, 3, 9)


def settings(data: Path) -> Settings:
    return Settings(data=data, config=Path("config"))


def prepare(data: Path, day: date = DAY, *, seed: int = 7, reset: bool = False, says: bool = False) -> folder.Demo:
    return folder.prepare(settings(data), seed, day, reset=reset, ask=lambda _question: says)


def worked_in(data: Path, *, finished: bool = True) -> Path:
    """A demo with somebody's work in it: the file that stands for it."""
    demo = prepare(data)
    if finished:
        folder.finish(demo)
    work = demo.settings.data / "waymark.db"
    work.write_text("work")
    return work


def test_a_demo_that_is_there_is_kept_with_what_was_done_in_it(tmp_path: Path) -> None:
    work = worked_in(tmp_path)
    kept = prepare(tmp_path, LATER)
    assert (kept.mark, work.read_text()) == (folder.Mark(7, DAY, finished=True), "work")


def test_a_reset_removes_it_and_so_does_a_yes(tmp_path: Path) -> None:
    work = worked_in(tmp_path)
    assert prepare(tmp_path, LATER, reset=True).mark == folder.Mark(7, LATER)
    assert not work.exists()
    work = worked_in(tmp_path)
    assert prepare(tmp_path, LATER, seed=8, says=True).mark == folder.Mark(8, LATER)
    assert not work.exists()


@pytest.mark.parametrize("mark", ["", "{}"])
def test_what_is_not_known_to_be_a_demo_of_ours_is_not_removed(tmp_path: Path, mark: str) -> None:
    work = worked_in(tmp_path)
    (tmp_path / "demo" / "demo.json").write_text(mark)
    with pytest.raises(Refused, match="waymark demo --reset"):
        prepare(tmp_path, LATER)
    assert work.exists()


def test_another_seed_does_not_take_the_place_of_a_demo_without_asking(tmp_path: Path) -> None:
    work = worked_in(tmp_path)
    with pytest.raises(Refused, match="holds another demo"):
        prepare(tmp_path, seed=8)
    assert work.exists()


def test_a_replay_that_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    work = worked_in(tmp_path, finished=False)
    assert not prepare(tmp_path, LATER).mark.finished
    assert not work.exists()


@pytest.mark.parametrize("finished", [True, False])
def test_nothing_is_removed_under_a_process_that_uses_it(tmp_path: Path, *, finished: bool) -> None:
    work = worked_in(tmp_path, finished=finished)
    with sole_user(folder.demo_settings(settings(tmp_path))), pytest.raises(Refused, match="another Waymark uses"):
        prepare(tmp_path, reset=True)
    assert work.exists()


def test_the_demo_takes_no_database_log_key_or_mail_server_of_the_real_one(tmp_path: Path) -> None:
    real = Settings(
        data=tmp_path,
        port=8123,
        database_url="postgresql+asyncpg://real/data",
        bus_url="kafka://real:9092",
        keys="admin:ops:secret",
        smtp_url="smtp://real",
        webhook_url="https://real.example",
        outreach="live",
    )
    own = folder.demo_settings(real)
    assert own.embedded
    assert own.database == f"sqlite:///{tmp_path / 'demo' / 'waymark.db'}"
    assert (own.keys, own.smtp_url, own.webhook_url, own.outreach, own.port) == (None, None, None, "preview", 8123)
    assert folder.unused(real) == ["WAYMARK_DATABASE_URL", "WAYMARK_BUS_URL"]


def test_addresses_are_told_only_where_somebody_answers(tmp_path: Path) -> None:
    own = credentials(tmp_path)
    assert closing_lines("http://here", own, once=True) == []
    lines = "\n".join(closing_lines("http://here", own, once=False))
    assert own.write in lines
    assert "http://here/console/enter" in lines
