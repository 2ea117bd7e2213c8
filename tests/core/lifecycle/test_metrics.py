"""Every kind of metric says what its name says, also after late events."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.lifecycle.core.evaluation import UnreadableValue
from services.lifecycle.core.fold import fold
from tests.core.lifecycle.make import START, Scenario, definition_from
from tests.make import usage_event

HEAD = """
events:
  use: {match: ["use", "use:*"], feature: {after: ":", property: feature}}
  paid: {match: [paid], sets: {seats: seats}}
  opened: {match: [opened]}
  closed: {match: [closed]}
milestones:
  first_use: {of: use, required: true}
  invited: {of: paid, required: seats > 1}
stages: {here: {}}
edges: []
metrics:
  seats: {kind: trait, of: seats}
"""

Make = Callable[[str], Scenario]


@pytest.fixture
def measuring(tmp_path: Path) -> Make:
    """A scenario that measures one metric, called it."""

    def make(metric: str) -> Scenario:
        return Scenario(definition_from(tmp_path, HEAD + f"  it: {metric}\n"))

    return make


def test_count_is_todays_and_the_days_before_in_the_window(measuring: Make):
    scenario = measuring("{kind: count, of: use, days: 3}")
    for day in (0, 0, 1, 2):
        scenario.track(day, "use")
    assert scenario.metric("it") == 4
    scenario.until(3)
    assert scenario.metric("it") == 2
    scenario.until(9)
    assert scenario.metric("it") == 0


def test_count_weighs_an_event_that_stands_for_several(measuring: Make):
    scenario = measuring("{kind: count, of: use, days: 3, weight: count}")
    scenario.track(0, "use", count=5)
    scenario.track(0, "use")
    scenario.track(0, "use", count="many")
    assert scenario.metric("it") == 7


def test_a_late_event_counts_on_its_own_day(measuring: Make):
    scenario = measuring("{kind: count, of: use, days: 3}")
    scenario.track(5, "use")
    scenario.track(3, "use")
    scenario.track(2, "use")
    assert scenario.metric("it") == 2
    scenario.until(6)
    assert scenario.metric("it") == 1


def test_a_late_event_older_than_every_window_counts_nowhere(measuring: Make):
    scenario = measuring("{kind: count, of: use, days: 3}")
    scenario.track(50, "use")
    scenario.track(1, "use")
    assert scenario.metric("it") == 1
    assert len(scenario.here.series["amount:use::1"].days) == 1


def test_day_buckets_are_kept_no_longer_than_the_longest_window(measuring: Make):
    scenario = measuring("{kind: count, of: use, days: 3}")
    scenario.use(range(40), name="use")
    assert scenario.here.series["amount:use::1"].days == [1, 1, 1]


def test_sum_adds_a_property_and_ignores_what_is_no_number(measuring: Make):
    scenario = measuring("{kind: sum, of: paid, property: amount, days: 7}")
    for amount in (10.5, 4, "free", None, True, 1e300):
        scenario.track(1, "paid", amount=amount)
    assert scenario.metric("it") == 14.5


def test_active_days_counts_a_day_once(measuring: Make):
    scenario = measuring("{kind: active_days, of: use, days: 7}")
    for day in (0, 0, 3, 3, 5):
        scenario.track(day, "use")
    assert scenario.metric("it") == 3
    scenario.track(4, "use")
    assert scenario.metric("it") == 4
    scenario.until(7)
    assert scenario.metric("it") == 3


def test_active_users_counts_people_and_one_pseudo_user_for_the_account(measuring: Make):
    scenario = measuring("{kind: active_users, of: use, days: 7}")
    for user in ("ann", "bob", "ann", None, None):
        scenario.track(0, "use", user)
    assert scenario.metric("it") == 3
    scenario.track(5, "use", "bob")
    scenario.until(8)
    assert scenario.metric("it") == 1


def test_a_late_event_of_a_user_never_makes_them_less_recent(measuring: Make):
    scenario = measuring("{kind: active_users, of: use, days: 3}")
    scenario.track(10, "use", "ann")
    scenario.track(2, "use", "ann")
    assert scenario.metric("it") == 1
    scenario.track(9, "use", "bob")
    assert scenario.metric("it") == 2
    scenario.until(12)
    assert scenario.metric("it") == 1


def test_user_days_counts_each_user_once_a_day_also_late(measuring: Make):
    scenario = measuring("{kind: user_days, of: use, days: 7}")
    for day, user in ((0, "ann"), (0, "ann"), (0, "bob"), (3, "ann"), (1, "ann"), (1, "ann"), (3, "ann")):
        scenario.track(day, "use", user)
    assert scenario.metric("it") == 4


def test_a_user_whose_bitmap_is_empty_is_dropped(measuring: Make):
    scenario = measuring("{kind: active_users, of: use, days: 28}")
    scenario.track(0, "use", "ann")
    scenario.track(30, "use", "bob")
    scenario.until(75)
    assert list(scenario.here.active_members["users:use"].members) == ["bob"]
    scenario.until(200)
    assert not scenario.here.active_members["users:use"].members


def test_features_are_told_by_name_by_property_or_by_the_whole_name(measuring: Make):
    scenario = measuring("{kind: features, of: use, days: 7}")
    scenario.track(0, "use:report")
    scenario.track(1, "use:report")
    scenario.track(1, "use:export")
    scenario.track(1, "use", feature="export")
    scenario.track(1, "use", feature="share")
    scenario.track(1, "use", feature=7)
    assert scenario.metric("it") == 3


def test_features_have_a_limit_that_invented_names_cannot_pass(measuring: Make):
    scenario = measuring("{kind: features, of: use, days: 7}")
    for number in range(600):
        scenario.track(0, f"use:{number}")
    assert scenario.metric("it") == 500


def test_days_since_is_unknown_before_the_first_event(measuring: Make):
    scenario = measuring("{kind: days_since, of: use}")
    scenario.group(0, name="Acme")
    assert scenario.metric("it") is None
    scenario.track(1, "use")
    scenario.until(11)
    assert scenario.metric("it") == 10
    scenario.track(4, "use")
    assert scenario.metric("it") == 7


def test_days_since_first_moves_back_with_a_late_event(measuring: Make):
    scenario = measuring("{kind: days_since, of: use, first: true}")
    scenario.track(5, "use")
    scenario.track(9, "use")
    assert scenario.metric("it") == 4
    scenario.track(2, "use")
    assert scenario.metric("it") == 7


def test_days_since_milestone_counts_from_the_day_it_was_reached(measuring: Make):
    scenario = measuring("{kind: days_since_milestone, of: first_use}")
    scenario.track(2, "paid")
    assert scenario.metric("it") is None
    scenario.track(3, "use")
    scenario.until(7)
    assert scenario.metric("it") == 4


def test_latest_is_the_latest_by_time_and_expires(measuring: Make):
    scenario = measuring("{kind: latest, of: paid, property: score, expires: 10d}")
    scenario.track(5, "paid", score=9)
    scenario.track(3, "paid", score=2)
    scenario.track(6, "paid")
    assert scenario.metric("it") == 9
    scenario.until(14)
    assert scenario.metric("it") == 9
    scenario.until(15)
    assert scenario.metric("it") is None


def test_latest_may_be_a_word(measuring: Make):
    scenario = measuring("{kind: latest, of: paid, property: how}")
    scenario.track(0, "paid", how="card")
    assert scenario.metric("it") == "card"


def test_open_without_key_is_opened_minus_closed_and_never_below_zero(measuring: Make):
    scenario = measuring("{kind: open, opened: [opened], closed: [closed]}")
    scenario.track(0, "use")
    assert scenario.metric("it") is None
    scenario.track(0, "closed")
    assert scenario.metric("it") == 0
    scenario.track(0, "opened")
    scenario.track(0, "opened")
    assert scenario.metric("it") == 1


def test_open_with_key_follows_each_ticket_in_whatever_order_it_arrives(measuring: Make):
    scenario = measuring("{kind: open, opened: [opened], closed: [closed], key: ticket}")
    scenario.track(1, "opened", ticket=1)
    scenario.track(1, "opened", ticket=1)
    scenario.track(2, "opened", ticket=2)
    assert scenario.metric("it") == 2
    scenario.track(5, "closed", ticket=3)
    scenario.track(4, "opened", ticket=3)
    scenario.track(6, "closed", ticket=1)
    assert scenario.metric("it") == 1


def test_open_with_an_amount_sums_what_is_open_and_is_unknown_where_one_does_not_say_it(measuring: Make):
    scenario = measuring("{kind: open, opened: [opened], closed: [closed], key: ticket, amount: owed}")
    scenario.track(1, "opened", ticket=1, owed=99.5)
    scenario.track(1, "opened", ticket=1, owed=99.5)
    scenario.track(2, "opened", ticket=2, owed="1,200.00")
    assert scenario.metric("it") == 1299.5
    scenario.track(3, "opened", ticket=3)
    assert scenario.metric("it") is None
    scenario.track(4, "closed", ticket=3)
    scenario.track(4, "closed", ticket=1)
    assert scenario.metric("it") == 1200
    scenario.track(5, "closed", ticket=2)
    assert scenario.metric("it") == 0


def test_open_with_key_remembers_no_more_than_its_limit(measuring: Make):
    scenario = measuring("{kind: open, opened: [opened], closed: [closed], key: ticket}")
    scenario.track(0, "opened", ticket="first")
    for number in range(700):
        scenario.track(1, "opened", ticket=number)
        scenario.track(1, "closed", ticket=number)
    assert len(scenario.here.open_items["open:it"]) == 500
    assert scenario.metric("it") == 1


def test_trait_comes_from_group_calls_and_from_events_that_set_it(measuring: Make):
    scenario = measuring("{kind: trait, of: seats}")
    scenario.group(1, seats=10)
    assert scenario.metric("it") == 10
    scenario.track(2, "paid", seats=25)
    assert scenario.metric("it") == 25
    scenario.group(1.5, seats=3)
    assert scenario.metric("it") == 25, "an older trait wins over no newer one"
    scenario.group(3, seats=["a", "b"])
    assert scenario.metric("it") == 2, "a list counts as its length"


def test_traits_have_a_limit_in_number_and_size(measuring: Make):
    scenario = measuring("{kind: trait, of: seats}")
    scenario.group(0, **{f"t{number}": "x" * 5000 for number in range(300)}, nested={"a": 1})
    assert len(scenario.here.traits) == 100
    assert all(len(str(told.value)) <= 200 for told in scenario.here.traits.values())


@pytest.mark.parametrize("told", ["2026-03-12", "2026-03-12T23:30:00+02:00", 1773273600])
def test_days_until_reads_dates_moments_and_seconds(measuring: Make, told: object):
    scenario = measuring("{kind: days_until, of: renewal_at}")
    scenario.group(0, renewal_at=told)
    assert scenario.metric("it") == 10
    scenario.until(12)
    assert scenario.metric("it") == -2


@pytest.mark.parametrize("told", ["soon", True, 1e18])
def test_days_until_what_is_no_date_is_unknown(measuring: Make, told: object):
    scenario = measuring("{kind: days_until, of: renewal_at}")
    scenario.group(0, renewal_at=told)
    assert scenario.metric("it") is None


def test_trend_is_unknown_until_both_windows_have_passed(measuring: Make):
    scenario = measuring("{kind: trend, of: use, recent: 7, prior: 14}")
    scenario.use(range(21), name="use")
    assert scenario.metric("it") is None
    scenario.track(21, "use")
    assert scenario.metric("it") == 0


def test_trend_compares_the_rates_of_the_two_windows(measuring: Make):
    scenario = measuring("{kind: trend, of: use, recent: 7, prior: 14}")
    scenario.use(range(28), name="use")
    scenario.until(31)
    # days 25..31 hold 3 events in 7 days, days 11..24 hold 14 in 14
    assert scenario.metric("it") == pytest.approx(3 / 7 - 1)


def test_trend_without_anything_before_is_unknown(measuring: Make):
    scenario = measuring("{kind: trend, of: use, recent: 7, prior: 14}")
    scenario.track(0, "use")
    scenario.track(60, "use")
    assert scenario.metric("it") is None


def test_formula_is_unknown_where_an_input_is(measuring: Make):
    scenario = measuring("{kind: formula, cel: seats / 4}")
    scenario.track(0, "use")
    assert scenario.metric("it") is None
    scenario.group(0, seats=10)
    assert scenario.metric("it") == 2.5


def test_formula_divided_by_zero_is_unknown(measuring: Make):
    scenario = measuring("{kind: formula, cel: 4 / seats}")
    scenario.group(0, seats=0)
    assert scenario.metric("it") is None


def test_formula_may_decide(measuring: Make):
    scenario = measuring("{kind: formula, cel: 'seats > 5 ? 1 : 0'}")
    scenario.group(0, seats=10)
    assert scenario.metric("it") == 1


def test_a_milestone_required_on_a_condition_is_missing_only_while_it_holds(measuring: Make):
    scenario = measuring("{kind: formula, cel: required_milestones_missing * 1}")
    scenario.track(0, "use")
    assert scenario.metric("it") == 0
    scenario.group(0, seats=5)
    assert scenario.metric("it") == 1
    scenario.track(1, "paid")
    assert scenario.metric("it") == 0


def test_tenure_and_days_in_stage_count_from_the_first_event(measuring: Make):
    scenario = measuring("{kind: formula, cel: tenure_days - days_in_stage}")
    scenario.track(3, "use")
    scenario.until(10)
    assert (scenario.metric("tenure_days"), scenario.metric("days_in_stage")) == (7, 7)
    scenario.track(1, "use")
    assert scenario.metric("it") == 2, "a late event makes the account older, not its stage"


def test_where_looks_into_the_properties(tmp_path: Path):
    text = HEAD.replace("{match: [opened]}", "{match: [opened], where: level >= 3 && kind == 'bug'}")
    scenario = Scenario(definition_from(tmp_path, text + "  it: {kind: count, of: opened, days: 7}\n"))
    for level, kind in ((3, "bug"), (1, "bug"), (9, "wish"), (None, "bug")):
        scenario.track(0, "opened", level=level, kind=kind)
    scenario.track(0, "opened")
    assert scenario.metric("it") == 1


def test_a_view_is_matched_by_its_kind_and_name(tmp_path: Path):
    text = HEAD.replace("match: [opened]", 'match: ["page:Pricing", "screen:*"]')
    scenario = Scenario(definition_from(tmp_path, text + "  it: {kind: count, of: opened, days: 7}\n"))
    for kind, name in (("page", "Pricing"), ("page", "Home"), ("screen", "Any"), ("track", "Pricing")):
        scenario.send(0, name, type=kind)
    assert scenario.metric("it") == 2


def test_invented_event_names_do_not_fill_the_memory(measuring: Make):
    scenario = measuring("{kind: count, of: use, days: 7}")
    for number in range(10_050):
        scenario.track(0, f"invented {number}")
    assert len(scenario.compiled.router.routes) == 50


@pytest.mark.parametrize("count", [5, 5.0, "5", " 5.0 "])
def test_a_number_written_as_text_is_the_number(measuring: Make, count: object):
    for metric in ("{kind: count, of: use, days: 3, weight: count}", "{kind: sum, of: use, property: count, days: 3}"):
        scenario = measuring(metric)
        scenario.track(0, "use", count=count)
        assert scenario.metric("it") == 5


@pytest.mark.parametrize(
    ("seats", "read"), [(25, 25.0), ("25", 25.0), ("1,234.5", 1234.5), ("many", None), (["a", "b"], 2.0)]
)
def test_a_trait_may_be_read_as_a_number(measuring: Make, seats: object, read: float | None):
    scenario = measuring("{kind: trait, of: seats, as: number}")
    scenario.group(0, seats=seats)
    assert scenario.metric("it") == read


@pytest.mark.parametrize("date", ["2027-02-01", 1801440000, 1801440000000, "1801440000000", "2027-02-01T23:00:00Z"])
def test_a_date_is_read_in_every_usual_form(measuring: Make, date: object):
    scenario = measuring("{kind: days_until, of: renewal_at}")
    scenario.group(0, renewal_at=date)
    assert scenario.metric("it") == (datetime(2027, 2, 1, tzinfo=UTC) - START).days


@pytest.mark.parametrize("date", ["01/06/2027", "soon", True, [1], None])
def test_a_date_that_could_be_two_or_none_is_unknown(measuring: Make, date: object):
    scenario = measuring("{kind: days_until, of: renewal_at}")
    scenario.group(0, renewal_at=date)
    assert scenario.metric("it") is None


@pytest.mark.parametrize("score", [11, 100, -1, 8.5, True, "nine", None])
def test_an_answer_that_is_not_on_the_scale_leaves_the_one_before(measuring: Make, score: object):
    scenario = measuring("{kind: latest, of: use, property: score, scale: [0, 10]}")
    scenario.track(0, "use", score=score)
    assert scenario.metric("it") is None
    scenario.track(1, "use", score="9")
    scenario.track(2, "use", score=score)
    assert scenario.metric("it") == 9


def test_an_answer_stored_before_the_scale_was_declared_is_read_on_it(measuring: Make):
    scenario = measuring("{kind: latest, of: use, property: score, scale: [0, 10]}")
    scenario.track(0, "use", score=9)
    scenario.here.latest["latest:use:score"].value = 11.0
    assert scenario.metric("it") is None


def test_what_cannot_be_read_is_noted_by_event_and_property(tmp_path: Path):
    text = (
        HEAD.replace("of: seats}", "of: seats, as: number}")
        + """
  score: {kind: latest, of: use, property: score, scale: [0, 10]}
  total: {kind: sum, of: paid, property: amount, days: 9}
  renewal: {kind: days_until, of: renewal_at}
"""
    )
    scenario, unreadable = Scenario(definition_from(tmp_path, text)), list[UnreadableValue]()
    scenario.track(0, "use", score=9)
    for name, kind, properties in (
        ("use", "track", {"score": 11}),
        ("use", "track", {"score": "9"}),
        ("paid", "track", {"amount": "49.00", "seats": "many"}),
        ("", "group", {"renewal_at": "01/06/2027", "seats": "25", "plan": "pro"}),
        ("", "identify", {"unsubscribed": "maybe"}),
        ("", "identify", {"unsubscribed": "yes"}),
    ):
        event = usage_event(f"{name}{kind}", name=name, type=kind, user="ann", properties=properties, at=START)
        fold(scenario.here, event, scenario.compiled, START, unreadable)
    assert unreadable == [
        ("use", "score", 11),
        ("paid", "seats", "many"),
        ("$group", "renewal_at", "01/06/2027"),
        ("identify", "unsubscribed", "maybe"),
    ]
