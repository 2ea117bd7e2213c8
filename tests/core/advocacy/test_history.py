"""Properties of any history: how it is cut changes nothing, and nobody is asked too often."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.advocacy.core.account import Account
from services.advocacy.core.asks import decline
from services.advocacy.core.decisions import Invitation
from services.advocacy.core.errors import Rejected
from services.advocacy.core.reducer import advance, apply, timer
from services.advocacy.store.accounts import ACCOUNTS
from tests.core.advocacy.make import SHIPPED, Story, apply_story, day

USERS = st.sampled_from(["ann", "bob", "cleo"])
WORDS = st.one_of(
    st.tuples(st.just("stage"), st.sampled_from(["adoption", "retention", "advocacy", "churned"])),
    st.tuples(st.just("signal"), st.sampled_from(["advocate_candidate", "renewal_120", "usage_drop"])),
    st.tuples(st.just("health"), st.sampled_from(["green", "yellow"]), st.sampled_from([50.0, 85.0, 95.0])),
    st.tuples(st.just("contact"), USERS),
    st.tuples(st.just("fact"), st.just("nps_answered"), USERS),
)
DAYS = st.floats(0, 40, width=16)
STREAMS = st.lists(st.tuples(DAYS, WORDS), max_size=60)


def spoken(stream: list, *, sorted_by_time: bool = True) -> Story:
    """A story of these words, each so many days after the one before; unsorted, each at its own odd time."""
    story, now = Story().stage(0, "onboarding").contact(0, "ann"), 170.0
    for step, (verb, *rest) in stream:
        now = now + step if sorted_by_time else 170 + 13 * step
        score = {"score": float(len(story.messages) % 3 + 8)} if verb == "fact" else {}
        getattr(story, verb)(now, *rest, **score)
    return story


def invitations(decisions: list, purpose: str) -> list[Invitation]:
    return [one for one in decisions if isinstance(one, Invitation) and one.purpose == purpose]


@given(STREAMS, st.booleans(), st.sets(st.integers(0, 60)))
def test_nobody_is_asked_twice_in_ninety_days_whatever_happens(stream: list, ordered: bool, declines: set[int]):
    account, decisions = Account(id="acme"), []
    for number, message in enumerate(spoken(stream, sorted_by_time=ordered).messages):
        account, more = apply(account, message, SHIPPED)
        decisions += more
        if number in declines and account.asks:
            account = declined(account)
    _, more = advance(account, account.clock + timedelta(days=500), SHIPPED)
    times = [ask.at for ask in invitations([*decisions, *more], "referral")]
    assert all(later - earlier >= timedelta(days=90) for earlier, later in pairwise(times))


def declined(account: Account) -> Account:
    try:
        return decline(account, account.asks[-1].id, account.clock)[0]
    except Rejected:
        return account


@given(STREAMS, st.booleans())
def test_no_survey_reaches_a_person_twice_in_thirty_days_nor_the_same_in_ninety(stream: list, ordered: bool):
    _, decisions = apply_story(spoken(stream, sorted_by_time=ordered))
    surveys = invitations(decisions, "survey")
    assert len({one.id for one in surveys}) == len(surveys)
    for user in {one.user for one in surveys}:
        mine = [one for one in surveys if one.user == user]
        for earlier, later in pairwise(mine):
            assert later.at - earlier.at >= timedelta(days=90 if earlier.name == later.name else 30)


@given(STREAMS, st.sets(st.integers(0, 60)), st.booleans())
def test_cutting_the_stream_or_waking_by_a_timer_changes_nothing(stream: list, cuts: set[int], timers: bool):
    story = spoken(stream)
    whole, expected = apply_story(story)
    account, decisions = Account(id="acme"), []
    for number, message in enumerate(story.messages):
        if number in cuts:
            account = ACCOUNTS.decode(ACCOUNTS.encode(account))
        while timers and (due := timer(account, SHIPPED)) and due <= message.at:
            account, more = advance(account, due, SHIPPED)
            decisions += more
        account, more = apply(account, message, SHIPPED)
        decisions += more
    assert (account, decisions) == (whole, expected)


@given(STREAMS, DAYS, DAYS)
def test_time_may_pass_in_any_number_of_steps(stream: list, one: float, two: float):
    account, _ = apply_story(spoken(stream))
    halfway, early = advance(account, account.clock + timedelta(days=one * 5), SHIPPED)
    end = account.clock + timedelta(days=(one + two) * 5)
    after, late = advance(halfway, end, SHIPPED)
    assert advance(account, end, SHIPPED) == (after, [*early, *late])


@given(STREAMS)
def test_hearing_everything_twice_changes_nothing(stream: list):
    story = spoken(stream)
    once, decisions = apply_story(story)
    story.messages = [message for message in story.messages for _ in range(2)]
    assert apply_story(story) == (once, decisions)


@given(STREAMS)
def test_an_imported_past_never_plans_anything_for_the_living(stream: list):
    story = spoken(stream)
    story.messages = [
        type(m)(**{f: getattr(m, f) for f in m.__struct_fields__} | {"history": True}) for m in story.messages
    ]
    account, decisions = apply_story(story)
    assert all(one.history for one in decisions if isinstance(one, Invitation))
    assert timer(account, SHIPPED) is None


def test_the_clock_never_runs_backwards():
    account, _ = apply_story(Story().stage(10, "onboarding").stage(5, "adoption"))
    assert account.clock == day(10)
