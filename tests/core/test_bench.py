"""The bench's own modules: statistics, streams, verdicts, and who is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from bench.end_state import End, Kept, verify
from bench.errors import InvalidResult, NotInPlan
from bench.goals import GOALS, Part, into, lines, source, verdict
from bench.lifecycle import MINIMAL, kept
from bench.peers import peer
from bench.plan import FULL, PLANS, THRESHOLD
from bench.progress import Mark, between
from bench.report import Report, read, told
from bench.road import kept_up
from bench.rounds import Figures, Result, Turn, interleaved
from bench.rows import GROUPS, REFERENCE, ROWS, chosen
from bench.statistics import Figure, figures, percentile, ratio
from bench.stream import FEATURES, Stream, day_to_come, expected, written
from services.lifecycle.core.compiled_definition import compile_definition
from services.lifecycle.core.definition import Definition
from services.lifecycle.core.fold import fold
from services.lifecycle.core.state import Account, begin
from services.lifecycle.layouts import LAYOUTS
from shared.contracts.lifecycle import StageChanged
from shared.contracts.usage import UsageEvent
from shared.definitions import load

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
STREAM = Stream("test", 600, 10, 1, NOON)


def test_a_figure_is_the_median_with_its_spread() -> None:
    assert figures([{"a": 3.0}, {"a": 1.0}, {"a": 2.0, "only once": 9.0}]) == {"a": Figure(2.0, 1.0, 3.0)}
    assert figures([]) == {}


def test_a_ratio_compares_rounds_that_ran_beside_each_other() -> None:
    ours, theirs = [{"r": 10.0}, {"r": 40.0}, {"r": 20.0}], [{"r": 5.0}, {"r": 10.0}, {"r": 10.0}]

    assert ratio(ours, theirs, "r") == Figure(2.0, 2.0, 4.0)
    assert ratio(ours, [], "r") is None
    assert ratio(ours, [{"r": 0.0}], "r") is None


def test_a_percentile_is_a_value_that_was_there() -> None:
    assert [percentile([5.0, 1.0, 3.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 3.0, 5.0]


def test_the_rate_counts_what_lies_between_two_looks() -> None:
    first, last = Mark(10.0, 100, {"client": 1.0}), Mark(12.0, 300, {"client": 1.5})

    assert between(first, last)["events/s"] == 100
    assert between(first, last)["cpu us/event client"] == pytest.approx(2_500)
    with pytest.raises(InvalidResult):
        between(first, first._replace(at=11.0))


def test_a_stream_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert list(STREAM) == list(STREAM)
    assert list(STREAM) != list(replace(STREAM, seed=2))


def test_events_are_by_contract_and_of_the_size_they_are_said_to_have() -> None:
    sizes = [len(written(event)) for event in STREAM]
    times = [str(msgspec.json.decode(written(event))["at"]) for event in STREAM]

    assert msgspec.json.decode(written(next(iter(STREAM))), type=UsageEvent).account.startswith("acct")
    assert 336 <= sum(sizes) / len(sizes) <= 346
    assert times == sorted(set(times))


def test_with_a_greeting_every_account_comes_once_before_the_runs_of_five() -> None:
    stream = replace(STREAM, session=5, greeting=True)
    names = [event.account for event in stream]

    assert len(set(names[:10])) == 10
    assert all(len(set(names[start : start + 5])) == 1 for start in range(10, 610, 5))
    assert stream.whole == 610


def test_no_stream_passes_midnight() -> None:
    assert day_to_come(NOON) == NOON
    assert day_to_come(NOON.replace(hour=23, minute=30)) == NOON.replace(hour=0) + timedelta(days=1)


def folded_by_the_peers() -> End:
    accounts: dict[str, peer.State] = {}
    made: dict[str, int] = {}
    for line in map(written, STREAM):
        event = msgspec.json.decode(line)
        state = accounts.setdefault(event["account"], peer.state())
        if peer.fold(state, event["properties"]["feature"], event["at"], THRESHOLD):
            made[event["account"]] = made.get(event["account"], 0) + 1
    return End({name: Kept(**state) for name, state in accounts.items()}, made)


def folded_by_the_core() -> End:
    plan = compile_definition(load(MINIMAL / "lifecycle.yaml", Definition))
    accounts: dict[str, Account] = {}
    made: dict[str, int] = {}
    for line in map(written, STREAM):
        event = msgspec.json.decode(line, type=UsageEvent)
        account = accounts.setdefault(event.account, begin(event.account, event.at))
        for one in fold(account, event, plan, NOON):
            if isinstance(one, StageChanged) and one.stage == "active":
                made[one.account] = made.get(one.account, 0) + 1
    return End({name: kept(LAYOUTS.encode(account), plan) for name, account in accounts.items()}, made)


def test_the_minimal_definition_is_the_fold_of_the_peers() -> None:
    end = expected(STREAM)

    verify(folded_by_the_peers(), end)
    verify(folded_by_the_core(), end)
    assert end.events == 600
    assert len(end.transitions) == 10


def test_a_lost_event_a_wrong_count_and_a_second_transition_are_refused() -> None:
    end = expected(STREAM)
    name, of = next(iter(end.accounts.items()))
    feature = next(iter(of.features))
    other = next(name for name in end.accounts if name != next(iter(end.accounts)))

    def changed(**fields: object) -> End:
        return End({**end.accounts, name: msgspec.structs.replace(of, **fields)}, end.transitions)

    swapped = {**of.features, feature: of.features[feature] - 1}
    for wrong in (
        changed(count=of.count - 1),
        changed(features=swapped),
        changed(last="2026-03-02T12:00:00.000001Z" if of.last != "2026-03-02T12:00:00.000001Z" else ""),
        End(end.accounts, {**end.transitions, name: 2}),
        End(end.accounts, {name: one for name, one in end.transitions.items() if name != other}),
        End({name: of for name, of in end.accounts.items() if name != other}, end.transitions),
    ):
        with pytest.raises(InvalidResult):
            verify(wrong, end)


def test_a_load_is_kept_up_only_when_events_do_not_get_older() -> None:
    steady, growing = [0.3, 0.4, 0.3, 0.4, 0.3, 0.4], [0.1, 0.2, 0.4, 0.6, 0.8, 1.0]

    assert kept_up(steady, planned=8, took=8.1)
    assert not kept_up(growing, planned=8, took=8.1)
    assert not kept_up(steady, planned=8, took=9.5)
    assert not kept_up([one + 0.7 for one in steady], planned=8, took=8.1), "a second is old"


def turn(name: str, each: Callable[[int], Awaitable[Figures]], before: str = "") -> Turn:
    async def prepare() -> str:
        if before:
            raise InvalidResult(before)
        return "1.0"

    return Turn(Result(name, "lifecycle", "no"), prepare, each)


def test_rows_take_turns_and_one_that_fails_says_why_and_keeps_no_figure() -> None:
    order: list[str] = []

    async def sound(number: int) -> Figures:
        order.append(f"sound {number}")
        return {"events/s": 1.0}

    async def breaks(number: int) -> Figures:
        order.append(f"breaks {number}")
        if number == 1:
            raise InvalidResult("599 events were counted of 600")
        return {"events/s": 2.0}

    async def never(_: int) -> Figures:
        raise NotInPlan("not in this plan")

    turns = [turn("a", sound), turn("b", breaks), turn("c", sound, "no Maven"), turn("d", never)]
    asyncio.run(interleaved(turns, 3, lambda _: None))
    sound_one, broken, uninstalled, absent = told([one.result for one in turns])

    assert order == ["sound 0", "breaks 0", "sound 1", "breaks 1", "sound 2"]
    assert (sound_one.count, sound_one.failed) == (3, "")
    assert (broken.failed, broken.rounds, broken.figures) == ("599 events were counted of 600", [], {})
    assert uninstalled.failed == "no Maven"
    assert (absent.failed, absent.absent) == ("", "not in this plan")


def test_rows_are_chosen_by_group_or_by_name_and_a_typo_is_told() -> None:
    assert {row.group for row in chosen("lifecycle")} == {"lifecycle"}
    assert [row.name for row in chosen("naive,memory")] == ["naive", "replay", "replay-bytewax"]
    with pytest.raises(ValueError, match="no row naiv"):
        chosen("naiv")


def test_every_group_has_a_row_of_ours_and_every_goal_asks_for_rows_there_are() -> None:
    names = {row.name for row in ROWS}

    assert len(names) == len(ROWS)
    assert set(REFERENCE) == set(GROUPS)
    assert set(REFERENCE.values()) <= names
    assert [goal.number for goal in GOALS] == [f"G{number}" for number in range(1, 14)]
    for goal in GOALS:
        for part in goal.parts:
            closed = [cell.cell_contents for cell in part.ask.__closure__ or ()]
            assert {one for one in closed if isinstance(one, str) and "/" not in one and " " not in one} <= names


def test_a_full_run_is_said_to_take_less_than_forty_minutes_and_a_quick_one_less_than_five() -> None:
    assert sum(row.seconds for row in ROWS) * FULL.rounds < 40 * 60
    assert sum(row.quick for row in ROWS) * PLANS["quick"].rounds < 5 * 60
    assert FULL.rounds >= 5


def report(**rates: float) -> Report:
    results = [Result(name.replace("_", "-"), "lifecycle", "no", [{"events/s": rate}]) for name, rate in rates.items()]
    return Report({"plan": "full"}, {"cores": "2"}, told(results))


def test_a_goal_is_missed_met_or_better() -> None:
    least, most = Part("", lambda _: None, 4, 5.5), Part("", lambda _: None, 1.3, 1.1, most=True)

    assert [verdict(least, value) for value in (3.9, 4.0, 5.5)] == ["missed", "met", "stretch"]
    assert [verdict(most, value) for value in (1.31, 1.3, 1.0)] == ["missed", "met", "stretch"]


def test_the_table_tells_ours_beside_the_goal_and_what_was_not_measured() -> None:
    table = "\n".join(lines(report(ours_minimal=50.0, sensible=10.0)))

    assert "| 5.5x | 5.8x | 5.00x (5.00..5.00) **met** |" in table
    assert "| 100 not measured; 10 not measured; 1 not measured |" in table


def test_the_page_keeps_its_words_and_gets_a_new_table() -> None:
    page = "Before.\n<!-- goals old.json -->\nold\n<!-- /goals -->\nAfter."
    new = into(page, report(ours_minimal=50.0, sensible=10.0), "new.json")

    assert new.startswith("Before.\n")
    assert new.endswith("\nAfter.")
    assert "old" not in new
    assert source(new) == "new.json"
    with pytest.raises(ValueError, match="no <!-- goals"):
        into("nothing here", None, "new.json")


def test_the_console_is_judged_by_its_slowest_list() -> None:
    goal = next(goal for goal in GOALS if goal.number == "G13")
    rounds = [
        {"accounts": 1.0, "accounts REST ms": 10.0, "accounts console ms": 15.0, "tasks REST ms": 2.0, "tasks console ms": most}
        for most in (5.0, 3.8, 3.9)
    ]  # fmt: skip
    (row,) = told([Result("console-100k", "console", "reads only", rounds)])
    found = goal.parts[0].ask({row.name: row})
    assert found is not None
    assert (found.most, found.median, verdict(goal.parts[0], found.median)) == (2.5, 1.95, "met")
    assert verdict(goal.parts[0], 2.01) == "missed"


def test_figures_of_a_plan_that_means_nothing_make_no_table() -> None:
    with pytest.raises(ValueError, match="tiny"):
        lines(msgspec.structs.replace(report(ours_minimal=1.0), how={"plan": "tiny"}))


def test_the_table_of_the_docs_is_what_its_result_says() -> None:
    page = (ROOT / "docs/speed.md").read_text(encoding="utf8")
    name = source(page)

    assert page == into(page, None if name == "none" else read(ROOT / name), name)


@pytest.mark.parametrize(
    "file", sorted((ROOT / "bench/peers").glob("*/requirements.txt")), ids=lambda file: file.parent.name
)
def test_a_peer_is_pinned_exactly_and_names_no_place_to_download_from(file: Path) -> None:
    for line in file.read_text(encoding="utf8").splitlines():
        name, equal, version = line.partition("==")
        assert name
        assert equal
        assert version.replace(".", "").replace("post", "").isalnum()


def test_the_features_of_the_definition_are_those_of_the_stream() -> None:
    definition = load(MINIMAL / "lifecycle.yaml", Definition).value

    assert set(definition.metrics) == {"uses", *FEATURES}
    assert definition.edges[0].when == [f"uses >= {THRESHOLD}"]
