"""A clock that cannot be right holds the work of time, says so, and lets it go on by itself."""

from datetime import datetime, timedelta
from pathlib import Path

from shared.service.clock_watch import ClockWatch
from tests.make import NOON, FakeClock

_MONTH = timedelta(days=30)


class Machine(FakeClock):
    """A wall clock that somebody sets, and seconds that nobody does."""

    def __init__(self, now: datetime = NOON) -> None:
        super().__init__(now)
        self.seconds = 0.0

    def elapsed(self) -> float:
        return self.seconds

    def live(self, step: timedelta) -> None:
        self.move(step)
        self.seconds += step.total_seconds()


def _watch(folder: Path, machine: Machine, server: FakeClock | None = None) -> ClockWatch:
    async def server_time() -> datetime | None:
        return server.now() if server is not None else None

    return ClockWatch(machine, server_time, folder / "last-run")


async def test_work_of_time_waits_while_the_clock_is_ahead_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    machine, done = Machine(), list[datetime]()
    watch = _watch(tmp_path, machine)

    async def work() -> int:
        done.append(machine.now())
        return 1

    held = watch.guarded(work)
    assert await held() == 1
    machine.move(_MONTH)
    machine.live(timedelta(minutes=5))
    assert await held() == 0
    words = await watch.problem()
    assert "30 days ahead" in words
    assert "set it (NTP)" in words
    machine.move(-_MONTH)
    assert await held() == 1
    assert await watch.problem() == ""
    assert max(done) < NOON + timedelta(hours=1)


async def test_time_that_passes_is_no_jump(tmp_path: Path) -> None:
    machine = Machine()
    watch = _watch(tmp_path, machine)
    for _ in range(40):
        assert await watch.problem() == ""
        machine.live(timedelta(days=1))
        machine.move(timedelta(minutes=40))  # a bad quartz: each look is held against the one before


async def test_a_clock_that_nothing_contradicts_is_believed_after_ten_minutes(tmp_path: Path) -> None:
    machine = Machine()
    watch = _watch(tmp_path, machine)
    assert await watch.problem() == ""
    machine.move(timedelta(hours=9))  # a virtual machine that was paused overnight
    assert "9 hours ahead" in await watch.problem()
    machine.live(timedelta(minutes=9))
    assert "go on in 1 minutes" in await watch.problem()
    machine.live(timedelta(minutes=1))
    assert await watch.problem() == ""


async def test_a_start_a_month_ahead_waits_and_the_next_start_is_right_again(tmp_path: Path) -> None:
    machine = Machine()
    assert await _watch(tmp_path, machine).problem() == ""
    for _ in range(2):  # also a second start does not find that the first one had made the mistake normal
        ahead = _watch(tmp_path, Machine(NOON + _MONTH))
        assert "30 days ahead" in await ahead.problem()
    assert await _watch(tmp_path, Machine(NOON + timedelta(minutes=3))).problem() == ""


async def test_three_weeks_of_rest_cost_ten_minutes_and_a_week_costs_nothing(tmp_path: Path) -> None:
    assert await _watch(tmp_path, Machine()).problem() == ""
    week = Machine(NOON + timedelta(days=7))
    assert await _watch(tmp_path, week).problem() == ""
    later = Machine(week.now() + timedelta(days=21))
    watch = _watch(tmp_path, later)
    assert "21 days ahead" in await watch.problem()
    later.live(timedelta(minutes=10))
    assert await watch.problem() == ""


async def test_the_database_servers_clock_tells_silence_from_a_wrong_clock_at_once(tmp_path: Path) -> None:
    machine, server = Machine(), FakeClock()
    watch = _watch(tmp_path, machine, server)
    assert await watch.problem() == ""
    machine.move(_MONTH)
    server.move(_MONTH)
    assert await watch.problem() == ""
    assert await _watch(tmp_path, machine, server).problem() == ""
    machine.move(_MONTH)
    assert "30 days ahead" in await watch.problem()
    machine.live(timedelta(hours=2))
    assert "30 days ahead" in await watch.problem(), "a second clock goes on contradicting it"
    machine.move(-_MONTH - timedelta(hours=2))
    assert await watch.problem() == ""


async def test_half_a_file_and_a_folder_that_cannot_be_written_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "last-run").write_text("2026-0")
    assert await _watch(tmp_path, Machine()).problem() == ""
    (tmp_path / "last-run").unlink()
    (tmp_path / "last-run").mkdir()
    assert await _watch(tmp_path, Machine()).problem() == ""
