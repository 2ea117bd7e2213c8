"""A simulated year of many kinds of customers: the shipped plays do what their files say, and the rules see when they do not."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.lifecycle.core.compiled_definition import CompiledDefinition, compile_definition
from services.lifecycle.core.definition import Definition as LifecycleDefinition
from services.notify.channels.table import CHANNELS
from services.notify.core.playbook import Counting, Playbook
from services.notify.core.state import TRANSACTIONAL
from services.notify.definition import Definition, lifecycle_names, load_plays
from shared.definitions import load
from tests.journey.year.customers import KINDS
from tests.journey.year.rules import (
    RULES,
    Rule,
    every_step_fires,
    no_mail_after_a_no,
    nobody_hears_too_much,
    nothing_goes_out_after_its_stop,
    nothing_is_asked_while_a_ticket_is_urgent,
    nothing_is_withheld_for_what_is_over,
    numbers_of_days_are_of_the_day,
    one_cause_is_answered_by_one_play,
    steps_go_in_the_order_of_the_file,
    tasks_claim_what_was_sent,
    the_unhappy_are_not_congratulated,
)
from tests.journey.year.simulation import Entry, Ledger, sends, simulate

CONFIG = Path(__file__).parents[2] / "config"
ACCOUNTS = int(os.environ.get("YEAR_ACCOUNTS", 10 * len(KINDS)))
"""2,000 in `make verify`."""


@pytest.fixture(scope="module")
def compiled() -> CompiledDefinition:
    return compile_definition(load(CONFIG / "lifecycle.yaml", LifecycleDefinition))


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Definition:
    """The shipped plays and texts, of a company that has given the links its mails need."""
    config = shutil.copytree(CONFIG, tmp_path_factory.mktemp("year") / "config")
    brand = (config / "brand.yaml").read_text("utf8")
    (config / "brand.yaml").write_text(re.sub(r"^# (links:|  \w+: https)", r"\1", brand, flags=re.MULTILINE), "utf8")
    return load_plays(config, CHANNELS.traits, lifecycle_names(config / "lifecycle.yaml"))


@pytest.fixture(scope="module")
def book(company: Definition) -> Playbook:
    assert [play.name for play in company.playbook.plays.values() if play.lacks] == []
    return company.playbook


@pytest.fixture(scope="module")
def ledger(book: Playbook, compiled: CompiledDefinition) -> Ledger:
    return simulate(range(ACCOUNTS), book, compiled)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_year_keeps_the_rule(rule: Rule, ledger: Ledger, book: Playbook) -> None:
    assert len(ledger.departures) >= 10 * len(KINDS)
    assert list(rule(ledger, book)) == []


NONSENSE = re.compile(r"-\d+ days?\b|[+-]0%|\bNone\b|\bnan\b|\{\{|\b[a-z]+_[a-z_]+\b")
NOTHING = re.compile(r"\b0 (?:people|person|results|seats|times|days|of)\b")
"""Tasks may say it, mails praise or ask with it."""


def test_no_text_of_the_year_says_what_cannot_be(ledger: Ledger, company: Definition) -> None:
    said = set()
    for entry in sends(ledger):
        one = entry.decision
        footer = CHANNELS.traits[one.channel].needs_footer(one.outreach_class == TRANSACTIONAL)
        values = {"unsubscribe_link": "https://x.test/u", **company.company, **one.values}
        written = company.templates.render(one.template, values, subject=one.subject, footer=footer, with_html=False)
        text = f"{written.subject}\n{written.text}"
        found = NONSENSE.search(text) or (NOTHING.search(text) if CHANNELS.traits[one.channel].is_contact else None)
        said |= {(one.step, entry.kind, found[0])} if found else set()
    assert said == set()


# A rule that cannot fail is none: each is shown a year in which it is broken.

Fault = Callable[[Playbook], Playbook]


def without_unhappy(book: Playbook) -> Playbook:
    return book._replace(budget=book.budget._replace(unhappy=None))


def without_pause(book: Playbook) -> Playbook:
    return book._replace(budget=book.budget._replace(paused=frozenset()))


def without_causes(book: Playbook) -> Playbook:
    return book._replace(plays={name: play._replace(causes=frozenset()) for name, play in book.plays.items()})


def without_caps(book: Playbook) -> Playbook:
    return book._replace(budget=book.budget._replace(caps=()))


def without_stops(book: Playbook) -> Playbook:
    return book._replace(plays={name: play._replace(stops=()) for name, play in book.plays.items()})


def without_counting(book: Playbook) -> Playbook:
    return book._replace(counting=Counting())


FAULTS: dict[Fault, tuple[Rule, tuple[str, ...]]] = {
    without_unhappy: (the_unhappy_are_not_congratulated, ("detractor",)),
    without_pause: (nothing_is_asked_while_a_ticket_is_urgent, ("urgent tickets",)),
    without_causes: (one_cause_is_answered_by_one_play, ("silent for good", "loses its champion")),
    without_counting: (numbers_of_days_are_of_the_day, ("silent for good", "promoter")),
    without_caps: (nobody_hears_too_much, ("never started", "promoter")),
    without_stops: (nothing_goes_out_after_its_stop, ("pays in five days", "silent and back")),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_guard_that_is_missing_is_seen(fault: Fault, book: Playbook, compiled: CompiledDefinition) -> None:
    rule, kinds = FAULTS[fault]
    names = list(KINDS)
    year = simulate(
        [names.index(kind) + turn * len(names) for turn in range(3) for kind in kinds], fault(book), compiled
    )
    assert list(rule(year, book)) != []


def edited(ledger: Ledger, change: Callable[[list[Entry]], list[Entry]]) -> Ledger:
    return ledger._replace(entries=change(list(ledger.entries)))


def out_of_order(entries: list[Entry]) -> list[Entry]:
    """Two mails of a welcome change places."""
    first = next(i for i, one in enumerate(entries) if one.decision.step == "welcome_hello")
    run = entries[first].decision.occurrence
    later = next(i for i, one in enumerate(entries) if i > first and one.decision.occurrence == run)
    entries[first], entries[later] = entries[later], entries[first]
    return entries


def claiming(entries: list[Entry]) -> list[Entry]:
    """A task says that a mail left which did not."""
    at = next(i for i, one in enumerate(entries) if "unsent_gone_quiet_mail" in one.decision.values)
    values = entries[at].decision.values | {"sent_gone_quiet_mail": "2025-05-05"}
    entries[at] = entries[at]._replace(decision=replace(entries[at].decision, values=values))
    return entries


def mail_to_somebody_who_wants_none(entries: list[Entry]) -> list[Entry]:
    at = next(i for i, one in enumerate(entries) if one.decision.channel == "email" and one.decision.send)
    return [entries[at]._replace(kind="wants no mail")]


def never_fired(entries: list[Entry]) -> list[Entry]:
    return [one for one in entries if one.decision.step != "limit_approach_mail"]


def withheld_for_nothing(entries: list[Entry]) -> list[Entry]:
    at = next(i for i, one in enumerate(entries) if one.truth and not one.truth.metrics.get("open_urgent_tickets"))
    decision = replace(entries[at].decision, send=False, reason="urgent_ticket")
    return [entries[at]._replace(decision=decision)]


PLANTED: dict[Callable[[list[Entry]], list[Entry]], Rule] = {
    out_of_order: steps_go_in_the_order_of_the_file,
    claiming: tasks_claim_what_was_sent,
    mail_to_somebody_who_wants_none: no_mail_after_a_no,
    never_fired: every_step_fires,
    withheld_for_nothing: nothing_is_withheld_for_what_is_over,
}


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_a_planted_fault_is_seen(planted: Callable[[list[Entry]], list[Entry]], ledger: Ledger, book: Playbook) -> None:
    assert list(PLANTED[planted](edited(ledger, planted), book)) != []


def test_every_rule_is_broken_once() -> None:
    assert {*RULES} == {rule for rule, _ in FAULTS.values()} | {*PLANTED.values()}
