"""Properties of the plays engine that hold for any stream of messages."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notify.core.playbook import Playbook
from services.notify.core.state import apply_consent
from services.notify.store import LAYOUTS
from shared.contracts.outreach import ConsentChanged
from tests.core.notify.make import CAPS, DAY, Story, at
from tests.core.notify.streams import LOUD, QUIET, Event, streams, tell, whole

books = st.sampled_from([LOUD, QUIET])
AFTER_ALL = 60.0


@settings(max_examples=150, deadline=None)
@given(streams, books, st.lists(st.tuples(st.integers(0, 39), st.floats(0, 0.99)), max_size=12))
def test_the_same_messages_give_the_same_plan_however_they_are_cut(
    stream: list[Event], playbook: Playbook, looks: list[tuple[int, float]]
):
    """Between messages the account is stored and read again, and the wall clock looks in at any time before the next."""
    plain, cut = Story(playbook), Story(playbook)
    end = whole(plain, stream)
    when = 0.0
    for index, event in enumerate(stream):
        for _, share in sorted(look for look in looks if look[0] == index):
            if event.gap * share > 0:
                cut.wait(at(when + event.gap * share))
        when += event.gap
        tell(cut, event, when)
        cut.account = LAYOUTS.decode(LAYOUTS.encode(cut.account))
    plain.wait(at(end + AFTER_ALL))
    cut.wait(at(end + AFTER_ALL))
    assert msgspec.to_builtins(cut.planned) == msgspec.to_builtins(plain.planned)
    assert cut.account == plain.account


@settings(max_examples=200, deadline=None)
@given(streams, books)
def test_the_budget_is_never_exceeded_at_any_moment(stream: list[Event], playbook: Playbook):
    story = Story(playbook)
    story.wait(at(whole(story, stream) + AFTER_ALL))
    counted = [
        each
        for each in story.planned
        if each.send and each.channel == "email" and each.outreach_class != "transactional"
    ]
    for cap in CAPS:
        for one in counted:
            window = [
                other
                for other in counted
                if one.at - cap.within < other.at <= one.at
                and cap.counts(other.outreach_class, other.topic)
                and (cap.account or other.user == one.user)
            ]
            assert len(window) <= cap.max, cap.name


@settings(max_examples=150, deadline=None)
@given(streams, books)
def test_the_steps_of_a_run_are_decided_in_the_order_of_the_file(stream: list[Event], playbook: Playbook):
    story = Story(playbook)
    story.wait(at(whole(story, stream) + AFTER_ALL))
    for occurrence in {(each.play, each.occurrence) for each in story.planned}:
        order = [step.name for step in playbook.plays[occurrence[0]].steps]
        decided = [order.index(each.step) for each in story.planned if (each.play, each.occurrence) == occurrence]
        assert decided == sorted(decided)


@settings(max_examples=150, deadline=None)
@given(streams, books)
def test_no_two_decisions_share_a_key_and_none_is_left_open(stream: list[Event], playbook: Playbook):
    story = Story(playbook)
    story.wait(at(whole(story, stream) + AFTER_ALL))
    keys = [each.id for each in story.planned]
    assert len(keys) == len(set(keys))
    assert story.account.runs == []
    assert all(each.send != bool(each.reason) for each in story.planned)


@settings(max_examples=150, deadline=None)
@given(streams, books)
def test_decisions_are_made_in_the_order_of_time_and_none_is_sent_late(stream: list[Event], playbook: Playbook):
    story = Story(playbook)
    story.wait(at(whole(story, stream) + AFTER_ALL))
    moments = [each.at for each in story.planned]
    assert moments == sorted(moments)
    assert all(each.at < each.expires_at for each in story.planned if each.send)


@settings(max_examples=150, deadline=None)
@given(streams, streams, books)
def test_nothing_is_sent_to_somebody_after_they_unsubscribed(
    before: list[Event], after: list[Event], playbook: Playbook
):
    story = Story(playbook)
    when = whole(story, before)
    story.wait(at(when))
    told = len(story.planned)
    change = ConsentChanged(
        id="c", account="acme", at=at(when), decided_at=at(when), user="ann", topic="*", granted=False
    )
    story.account = apply_consent(story.account, change)
    for event in after:
        when += event.gap
        tell(story, event, when)
    story.wait(at(when + AFTER_ALL))
    to_ann = [each for each in story.planned[told:] if each.user == "ann" and each.send]
    assert all(each.outreach_class == "transactional" for each in to_ann)


@settings(max_examples=150, deadline=None)
@given(streams, books)
def test_a_play_sends_nothing_after_what_stops_it(stream: list[Event], playbook: Playbook):
    """`tip` ends with the signal `end`: whatever of it is sent later belongs to a later start."""
    story = Story(playbook)
    when = 0.0
    for event in stream:
        when += event.gap
        tell(story, event, when)
        if event.kind == "signal" and event.word == "end":
            assert not [run for run in story.account.runs if run.play == "tip"]
    story.wait(at(when + AFTER_ALL))
    ended = {each.occurrence: each.at for each in story.planned if each.play == "tip" and each.reason == "stopped"}
    assert not [each for each in story.planned if each.send and each.at > ended.get(each.occurrence, each.at)]


@settings(max_examples=100, deadline=None)
@given(streams, books)
def test_history_plans_what_live_would_have_planned_and_marks_all_of_it(stream: list[Event], playbook: Playbook):
    live, replayed = Story(playbook), Story(playbook)
    when = 0.0
    for event in stream:
        when += event.gap
        tell(live, event, when)
        tell(replayed, event, when, history=True)
    live.clock(when + AFTER_ALL, live=True)
    replayed.clock(when + AFTER_ALL, live=False)
    assert [(each.id, each.at, each.reason) for each in replayed.planned] == [
        (each.id, each.at, each.reason) for each in live.planned
    ]
    assert all(each.history for each in replayed.planned)
    assert not any(each.history for each in live.planned)


@settings(max_examples=50, deadline=None)
@given(streams)
def test_what_we_remember_stays_small(stream: list[Event]):
    story = Story(LOUD)
    story.wait(at(whole(story, stream * 3) + AFTER_ALL))
    times = [past.at for past in story.account.budget_entries]
    assert not times or max(times) - min(times) <= 90 * DAY
    assert len(LAYOUTS.encode(story.account)) < 20_000
