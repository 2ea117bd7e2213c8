"""Each invariant holds on a good run, and breaks on the smallest bad one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.evidence import (
    Age,
    Cap,
    Consent,
    Entry,
    Event,
    Evidence,
    Move,
    Partition,
    PublishedMessage,
    Receipt,
    Replayed,
    Reward,
    Send,
    Span,
    TopicRecord,
    TrustedFact,
)
from tests.chaos.invariants import AHEAD, INVARIANTS, MIDNIGHTS, Verdict, verdicts

READ = Partition("lifecycle", "usage.v1", 0)
DAY = 86_400.0
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def mail(occasion: str, *, user: str = "ann", at: float = 0.0, delivery: str = "", channel: str = "email") -> Send:
    return Send(channel, delivery or f"d-{occasion}", occasion, "acme", user, "value", "tips", at)


def passed(occasion: str, user: str = "ann") -> Consent:
    return Consent("acme", user, "last word", "tips", "value", f"d-{occasion}")


def good() -> Evidence:
    """Two events and a wrong one, two messages, a mail and a webhook that came twice, a no and a yes, one referral."""
    messages = [PublishedMessage("acme", 1, "m1"), PublishedMessage("acme", 2, "m2")]
    return Evidence(
        moves=[Move(READ, 0, 1, 1), Move(READ, 1, 2, 2)],
        spans={READ: Span(0, 2)},
        posted={"e1", "e2", "bad"},
        accepted={"e1", "e2", "bad"},
        archive=[Event("e1", "acme"), Event("e2", "acme")],
        parked={"bad"},
        allowed={"bad"},
        counted={"acme": 2},
        messages=messages,
        last_seq={"acme": 2},
        records=[
            TopicRecord("lifecycle.v1", 0, 0, 0, "m1", messages[0]),
            TopicRecord("lifecycle.v1", 0, 1, 0, "m1", messages[0]),
            TopicRecord("lifecycle.v1", 0, 2, 1, "m2", messages[1]),
        ],
        sends=[mail("one"), mail("hook", channel="webhook"), mail("hook", channel="webhook", at=5.0)],
        caps=[Cap("two a day", 2, DAY, account=False, classes=frozenset(), topics=frozenset())],
        consents=[
            passed("hook"),
            Consent("acme", "ann", "no", "*"),
            Consent("acme", "ann", "yes", "*"),
            passed("one"),
        ],
        entries=[Entry("t1", "r1", "cost", 50, "EUR"), Entry("t1", "r1", "owed", -50, "EUR")],
        rewards=[Reward("r1", "ref1", "referrer")],
        replayed={"acme": Replayed("same", "same")},
        claimed=1,
        trusted=[TrustedFact("acme mrr", "100", "100")],
        lies=1,
        ages=[Age("acme", NOW, NOW + AHEAD, NOW)],
        ended=NOW,
        midnights={"acme": MIDNIGHTS},
    )


def verdict(code: str, evidence: Evidence) -> Verdict:
    return next(one for one in verdicts(evidence) if one.code == code)


def a_hole(run: Evidence) -> None:
    run.moves[1] = Move(READ, 1, 3, 2)
    run.moves.append(Move(READ, 4, 5, 2))
    run.spans[READ] = Span(0, 5)


def an_overlap(run: Evidence) -> None:
    run.moves[1] = Move(READ, 0, 2, 2)


def an_early_end(run: Evidence) -> None:
    run.moves.pop()


def an_unread_partition(run: Evidence) -> None:
    run.spans[Partition("lifecycle", "usage.v1", 1)] = Span(0, 1)


def a_loss(run: Evidence) -> None:
    run.archive.pop()
    run.counted["acme"] = 1


def twice_archived(run: Evidence) -> None:
    run.archive.append(Event("e1", "acme"))
    run.counted["acme"] = 3


def twice_counted(run: Evidence) -> None:
    run.counted["acme"] = 3


def never_posted(run: Evidence) -> None:
    run.archive.append(Event("ghost", "acme"))
    run.counted["acme"] = 3


def a_number_missing(run: Evidence) -> None:
    run.messages[1] = PublishedMessage("acme", 3, "m2")


def a_number_twice(run: Evidence) -> None:
    run.messages[1] = PublishedMessage("acme", 1, "m2")


def another_last_number(run: Evidence) -> None:
    run.last_seq["acme"] = 1


def never_relayed(run: Evidence) -> None:
    run.records.pop()


def out_of_order(run: Evidence) -> None:
    first, _, second = run.records
    run.records = [second._replace(offset=0, seq=0), first._replace(offset=1, seq=1)]


def a_hole_in_the_topic(run: Evidence) -> None:
    run.records = run.records[2:]


def another_content(run: Evidence) -> None:
    run.records[1] = run.records[1]._replace(id="m9")


def mailed_twice(run: Evidence) -> None:
    run.sends.append(mail("one", at=9.0))


def under_another_id(run: Evidence) -> None:
    run.sends.append(mail("hook", channel="webhook", delivery="d-other"))
    run.consents.append(passed("other"))


def flooded(run: Evidence) -> None:
    run.sends += [mail("two", at=DAY - 1), mail("three", at=DAY - 1)]


def money_from_nowhere(run: Evidence) -> None:
    run.entries.pop()


def rewarded_twice(run: Evidence) -> None:
    run.rewards.append(Reward("r2", "ref1", "referrer"))
    run.entries += [Entry("t2", "r2", "cost", 50, "EUR"), Entry("t2", "r2", "owed", -50, "EUR")]


def never_booked(run: Evidence) -> None:
    run.rewards.append(Reward("r2", "ref2", "referrer"))


def against_a_no(run: Evidence) -> None:
    run.consents += [Consent("acme", "ann", "no", "tips"), passed("late")]


def without_a_last_word(run: Evidence) -> None:
    run.sends.append(mail("blind"))


def another_story(run: Evidence) -> None:
    run.replayed["acme"] = Replayed("this", "that")


def sent_again(run: Evidence) -> None:
    run.sends_after_reread = 1


def parked_by_an_outage(run: Evidence) -> None:
    run.parked.add("e2")


def against_a_no_from_elsewhere(run: Evidence) -> None:
    no = Consent("globex", "ann-2", "no", "*", address="ann@x.test")
    run.consents += [no, passed("late")._replace(address="ann@x.test")]


def a_browsers_word(run: Evidence) -> None:
    run.trusted[0] = TrustedFact("acme mrr", "1", "100")


def received_in_the_future(run: Evidence) -> None:
    run.receipts.append(Receipt("e1", NOW, NOW + 30 * AHEAD))


def received_before_it_was_posted(run: Evidence) -> None:
    run.receipts.append(Receipt("e1", NOW, NOW - 30 * AHEAD))


def decided_late_among_others(run: Evidence) -> None:
    run.waits_alone.append(1.5)
    run.waits_among_others += [0.5, 6.6]


def left_in_the_future(run: Evidence) -> None:
    run.ages[0] = run.ages[0]._replace(clock=NOW + AHEAD + timedelta(seconds=1))


def born_too_early(run: Evidence) -> None:
    run.ages[0] = run.ages[0]._replace(first_seen=NOW - timedelta(seconds=1))


def one_event_of_a_thousand_midnights(run: Evidence) -> None:
    run.midnights["globex"] = 1000


BAD: dict[str, list[Callable[[Evidence], None]]] = {
    "I1": [a_hole, an_overlap, an_early_end, an_unread_partition],
    "I2": [a_loss],
    "I3": [twice_archived, twice_counted, never_posted],
    "I4": [a_number_missing, a_number_twice, another_last_number],
    "I5": [never_relayed, out_of_order, a_hole_in_the_topic, another_content],
    "I6": [mailed_twice, under_another_id],
    "I7": [flooded],
    "I8": [money_from_nowhere, rewarded_twice, never_booked],
    "I9": [against_a_no, without_a_last_word],
    "I10": [another_story, sent_again],
    "I11": [parked_by_an_outage],
    "I12": [
        left_in_the_future,
        born_too_early,
        received_in_the_future,
        received_before_it_was_posted,
        one_event_of_a_thousand_midnights,
        decided_late_among_others,
    ],
    "I13": [against_a_no, against_a_no_from_elsewhere],
    "I14": [a_browsers_word],
}
"""Every invariant, and each way in which it must break."""


def test_a_good_run_keeps_every_promise() -> None:
    assert [str(one) for one in verdicts(good()) if not one.kept] == []


@pytest.mark.parametrize(("code", "bad"), [(code, bad) for code, ways in BAD.items() for bad in ways])
def test_the_smallest_bad_run_breaks_it(code: str, bad: Callable[[Evidence], None]) -> None:
    run = good()
    bad(run)
    assert verdict(code, run).broken


def test_a_no_holds_for_the_address_and_for_the_user_id() -> None:
    for no in (Consent("globex", "ann-2", "no", "*", address="ann@x.test"), Consent("globex", "ann", "no", "tips")):
        run = good()
        word = passed("late")._replace(address="ann@x.test")
        run.consents += [no, word]
        assert verdict("I13", run).broken
        assert not verdict("I9", run).broken
        back = no._replace(what="yes", topic="*")
        run.consents[-1:] = [back, word]
        assert not verdict("I13", run).broken


def test_a_person_is_flooded_by_all_accounts_together() -> None:
    run = good()
    for number in range(3):
        run.sends.append(mail(f"m{number}", at=number)._replace(account=f"a{number}", address="ann@x.test"))
    assert verdict("I7", run).broken


def test_every_invariant_has_been_seen_to_break() -> None:
    assert BAD.keys() == {code for code, *_ in INVARIANTS}


@pytest.mark.parametrize("code", BAD)
def test_nothing_to_check_is_no_success(code: str) -> None:
    assert not verdict(code, Evidence()).kept


def test_a_window_forgets_what_is_older() -> None:
    run = good()
    run.sends += [mail("two", at=DAY + 1), mail("three", at=DAY + 2)]
    run.consents += [passed("two"), passed("three")]
    assert not verdict("I7", run).broken


def test_transactional_mail_needs_no_consent_and_has_no_cap() -> None:
    run = good()
    for number in range(3):
        run.sends.append(mail(f"bill{number}")._replace(outreach_class="transactional"))
        word = passed(f"bill{number}")._replace(outreach_class="transactional")
        run.consents += [Consent("acme", "ann", "no", "*"), word]
    assert not verdict("I7", run).broken
    assert not verdict("I9", run).broken


def test_a_verdict_shows_what_is_wrong() -> None:
    run = good()
    run.parked.add("e2")
    assert "BROKEN" in str(verdict("I11", run))
    assert "e2 was parked" in str(verdict("I11", run))
