"""A clock that cannot be right holds the work of time, says so, and lets it go on by itself."""

from datetime import datetime, timedelta
from pathlib import Path

from shared.service.clock_watch import ClockWatch, WatchedClock, receipt_clock
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
    return _watched(folder, machine, server)[0]


def _watched(
    folder: Path, machine: Machine, server: FakeClock | None = None, worked: datetime | None = None
) -> tuple[ClockWatch, WatchedClock]:
    async def server_time() -> datetime | None:
        return server.now() if server is not None else None

    async def last_work() -> datetime | None:
        return worked

    clock = WatchedClock(machine)
    return ClockWatch(clock, server_time, folder / "last-run", last_work), clock


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


async def test_while_the_clock_is_in_doubt_the_time_before_goes_on(tmp_path: Path) -> None:
    machine = Machine()
    watch, clock = _watched(tmp_path, machine)
    assert await watch.decided()
    machine.live(timedelta(minutes=1))
    machine.move(_MONTH)
    assert clock.now() == NOON + timedelta(minutes=1), "before anybody has looked"
    assert receipt_clock(clock).now() == machine.now(), "it may be that it is right"
    assert await watch.decided(), "the seconds say what time it is"
    machine.live(timedelta(minutes=2))
    assert clock.now() == NOON + timedelta(minutes=3)
    machine.move(-_MONTH)
    assert await watch.decided()
    assert clock.now() == machine.now()


async def test_a_clock_that_falls_behind_stamps_nothing_with_a_time_before_it(tmp_path: Path) -> None:
    machine = Machine()
    watch, clock = _watched(tmp_path, machine)
    assert await watch.decided()
    machine.move(-400 * timedelta(days=1))
    assert clock.now() == receipt_clock(clock).now() == NOON
    assert "days behind" in await watch.problem()


async def test_after_an_outage_of_a_month_what_is_received_waits_ten_minutes_and_has_the_right_time(
    tmp_path: Path,
) -> None:
    assert await _watch(tmp_path, Machine()).decided()
    machine = Machine(NOON + _MONTH)
    watch, clock = _watched(tmp_path, machine)
    assert "events wait" in await watch.problem()
    assert not await watch.decided()
    assert clock.now() == NOON
    assert receipt_clock(clock).now() == NOON + _MONTH
    machine.live(timedelta(minutes=10))
    assert await watch.decided()
    assert clock.now() == machine.now()


async def test_a_first_start_has_no_witness_and_believes_its_clock(tmp_path: Path) -> None:
    machine = Machine()
    watch, clock = _watched(tmp_path, machine)
    assert clock.now() == NOON
    assert await watch.decided()


async def test_beside_a_database_server_it_is_always_known_what_time_it_is(tmp_path: Path) -> None:
    machine, server = Machine(NOON + _MONTH), FakeClock()
    watch, clock = _watched(tmp_path, machine, server)
    assert await watch.decided()
    assert clock.now() == NOON, "of two that differ the earlier: nobody is left in the future"
    assert receipt_clock(clock).now() == NOON + _MONTH
    machine.move(-_MONTH)
    assert await watch.problem() == ""
    assert clock.now() == NOON


async def test_whichever_of_the_two_clocks_jumps_the_one_that_went_on_is_right(tmp_path: Path) -> None:
    for off in (_MONTH, -_MONTH):
        for jumps in ("machine", "server"):
            machine, server = Machine(), FakeClock()
            watch, clock = _watched(tmp_path, machine, server)
            assert await watch.problem() == ""
            (machine if jumps == "machine" else server).move(off)
            assert await watch.problem() != ""
            assert clock.now() == NOON, (off, jumps)


async def test_a_clock_that_shows_a_time_before_somebody_worked_is_not_right(tmp_path: Path) -> None:
    for machine, server in ((Machine(NOON - 400 * _MONTH), FakeClock()), (Machine(), FakeClock(NOON - 400 * _MONTH))):
        watch, clock = _watched(tmp_path, machine, server, worked=NOON - timedelta(days=3))
        assert await watch.decided()
        assert clock.now() == NOON
