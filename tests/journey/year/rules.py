"""Rules of the simulated year: each reads the ledger, and says in words what broke it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import combinations

from services.notify.core.account_view import condition_values
from services.notify.core.delivery import Decision
from services.notify.core.past_steps import DONE, MESSAGES_SENT, SENT, UNSENT
from services.notify.core.playbook import Playbook
from services.notify.core.state import AccountView
from shared.contracts.lifecycle import Snapshot
from tests.journey.year.simulation import Entry, Ledger, run_of, sends

Rule = Callable[[Ledger, Playbook], Iterator[str]]

PRAISE_AND_OFFERS = frozenset({"value", "expansion", "advocacy"})
_QUARTER = timedelta(days=90)


def every_step_fires(ledger: Ledger, book: Playbook) -> Iterator[str]:
    """Each step of each play goes out to somebody."""
    fired = {(entry.decision.play, entry.decision.step) for entry in sends(ledger)}
    for play in book.plays.values():
        yield from (
            f"{play.name}: {step.name} goes out to nobody" for step in play.steps if (play.name, step.name) not in fired
        )


def the_unhappy_are_not_congratulated(ledger: Ledger, _book: Playbook) -> Iterator[str]:
    for entry in sends(ledger):
        truth = entry.truth
        if entry.decision.outreach_class in PRAISE_AND_OFFERS and truth is not None and truth.stage != "churned":
            yield from (f"{_name(entry)} to an account with {why}" for why in unhappiness(truth))


def unhappiness(truth: Snapshot) -> Iterator[str]:
    """Why an account has reason to be unhappy with us, in words."""
    if truth.band == "red":
        yield "a red band"
    for metric, is_bad in {
        "unpaid_invoices": lambda value: value >= 1,
        "nps": lambda value: value <= 6,
        "days_since_churn_notice": lambda value: value <= 90,
    }.items():
        value = truth.metrics.get(metric)
        if isinstance(value, int | float) and is_bad(value):
            yield f"{metric} {value}"


def nothing_is_asked_while_a_ticket_is_urgent(ledger: Ledger, _book: Playbook) -> Iterator[str]:
    for entry in sends(ledger):
        if entry.decision.outreach_class in {"survey", "expansion", "advocacy"} and entry.truth is not None:
            tickets = entry.truth.metrics.get("open_urgent_tickets")
            if isinstance(tickets, int | float) and tickets >= 1 and entry.truth.stage != "churned":
                yield f"{_name(entry)} while {tickets} urgent tickets are open"


def nothing_is_withheld_for_what_is_over(ledger: Ledger, _book: Playbook) -> Iterator[str]:
    for entry in ledger.entries:
        truth, reason = entry.truth, entry.decision.reason
        if truth is not None and reason == "urgent_ticket" and not truth.metrics.get("open_urgent_tickets"):
            yield f"{_name(entry)} is withheld for an urgent ticket, and none is open"
        if truth is not None and reason == "unhappy" and not [*unhappiness(truth)]:
            yield f"{_name(entry)} is withheld from somebody who is happy: {entry.decision.detail}"


def one_cause_is_answered_by_one_play(ledger: Ledger, book: Playbook) -> Iterator[str]:
    for entries in _by(sends(ledger), lambda one: one.account).values():
        for one, other in combinations(entries, 2):
            plays = book.plays[one.play], book.plays[other.play]
            near = abs(other.at - one.at) < timedelta(days=14)
            if near and one.play != other.play and plays[0].causes & plays[1].causes:
                yield f"{one.account}: {one.play} at {one.at} and {other.play} at {other.at}"


def steps_go_in_the_order_of_the_file(ledger: Ledger, book: Playbook) -> Iterator[str]:
    for (account, play, _), decisions in _by(ledger.entries, run_of).items():
        order = [step.name for step in book.plays[play].steps]
        decided = [order.index(one.step) for one in decisions if one.step in order]
        if decided != sorted(decided) or [one.at for one in decisions] != sorted(one.at for one in decisions):
            yield f"{account}: {play} in the order {[one.step for one in decisions]}"


def nobody_hears_too_much(ledger: Ledger, book: Playbook) -> Iterator[str]:
    mails = [
        one
        for one in sends(ledger)
        if one.decision.channel == "email" and one.decision.outreach_class != "transactional"
    ]
    for account, theirs in _by(mails, lambda one: one.account).items():
        for cap in book.budget.caps:
            counted = [one for one in theirs if cap.counts(one.outreach_class, one.topic)]
            for last in counted:
                since = last.at - cap.within
                before = [
                    one for one in counted if since < one.at <= last.at and (cap.account or one.user == last.user)
                ]
                if len(before) > cap.max:
                    yield f"{account}: {len(before)} mails within '{cap.name}' at {last.at}"


def tasks_claim_what_was_sent(ledger: Ledger, book: Playbook) -> Iterator[str]:
    """What a text is told of the earlier steps is what the ledger of departures says; each earlier step has a word."""
    left: dict[tuple[str, str, str], dict[str, tuple[str, datetime]]] = defaultdict(dict)
    for one in ledger.departures:
        left[one.run].setdefault(one.step, (one.channel, one.at))
    for entry in sends(ledger):
        decision = entry.decision
        gone = {
            step: at for step, (_, at) in left[run_of(decision)].items() if at < decision.at and step != decision.step
        }
        steps = [step.name for step in book.plays[decision.play].steps]
        for step in steps[: steps.index(decision.step)]:
            said = decision.values.get(f"{SENT}{step}")
            true = gone[step].date().isoformat() if step in gone else None
            if said != true or (true is None and not decision.values.get(f"{UNSENT}{step}")):
                yield f"{_name(entry)} says of {step} {said}, and it was {true}"
        mails = [step for step in gone if book.channels[left[run_of(decision)][step][0]].reaches_customer]
        if decision.values.get(MESSAGES_SENT) != len(mails):
            yield f"{_name(entry)} says {decision.values.get(MESSAGES_SENT)} messages left, and {len(mails)} did"
        done = [name for name in decision.values if name.startswith(DONE)]
        yield from (
            f"{_name(entry)}: {name} of what was never opened" for name in done if name[len(DONE) :] not in gone
        )


def numbers_of_days_are_of_the_day(ledger: Ledger, _book: Playbook) -> Iterator[str]:
    """A text is told how long something is or was as of the moment, not of the latest message, which may be weeks old."""
    for entry in sends(ledger):
        values, truth = entry.decision.values, entry.truth
        assert truth is not None
        for name in ("days_to_renewal", "days_in_stage", "tenure_days"):
            if name in values and values[name] != truth.metrics.get(name) and truth.stage != "churned":
                yield f"{_name(entry)} says {name} {values[name]}, and it is {truth.metrics.get(name)}"
        if entry.decision.play == "gone_quiet":
            day = entry.decision.at.date() - timedelta(days=int(float(truth.metrics["days_since_core_use"] or 0)))
            if values.get("day_of_days_since_core_use") != day.isoformat():
                yield f"{_name(entry)} says {values.get('day_of_days_since_core_use')}, and it was {day}"


def nothing_goes_out_after_its_stop(ledger: Ledger, book: Playbook) -> Iterator[str]:
    """No stop of the play stands in the account as it truly is."""
    for entry in sends(ledger):
        play, truth = book.plays[entry.decision.play], entry.truth
        assert truth is not None
        for condition in play.stops:
            stop = condition.stop
            if (
                (stop.stage and truth.stage not in play.stages)
                or (stop.milestone and stop.milestone in truth.milestones)
                or (stop.flag_cleared and stop.flag_cleared not in truth.flags)
                or (condition.when is not None and condition.when.holds(_values(truth, book)))
            ):
                yield f"{_name(entry)} after '{condition.text}'"


def no_mail_after_a_no(ledger: Ledger, book: Playbook) -> Iterator[str]:
    for entry in sends(ledger):
        if entry.kind == "wants no mail" and book.channels[entry.decision.channel].reaches_customer:
            yield f"{_name(entry)} to somebody who wants none"


RULES: tuple[Rule, ...] = (
    every_step_fires,
    the_unhappy_are_not_congratulated,
    nothing_is_asked_while_a_ticket_is_urgent,
    nothing_is_withheld_for_what_is_over,
    one_cause_is_answered_by_one_play,
    steps_go_in_the_order_of_the_file,
    nobody_hears_too_much,
    tasks_claim_what_was_sent,
    numbers_of_days_are_of_the_day,
    nothing_goes_out_after_its_stop,
    no_mail_after_a_no,
)


def _values(truth: Snapshot, book: Playbook) -> dict[str, object]:
    view = AccountView(
        stage=truth.stage,
        flags=truth.flags,
        band=truth.band,
        score=truth.score,
        metrics=truth.metrics,
        traits=truth.traits,
        milestones=truth.milestones,
    )
    return condition_values(view, book)


def _name(entry: Entry) -> str:
    return f"{entry.decision.account} ({entry.kind}): {entry.decision.play}.{entry.decision.step} at {entry.decision.at:%F %R}"


def _by(entries: Iterable[Entry], key: Callable[[Decision], object]) -> dict[object, list[Decision]]:
    found: dict[object, list[Decision]] = defaultdict(list)
    for entry in entries:
        found[key(entry.decision)].append(entry.decision)
    return found
