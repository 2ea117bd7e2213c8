"""Driver of the simulated year: an account's events through both cores, every message sent when it is decided.

Each entry of the ledger is a decision with what was true when it was made, read from lifecycle's account and not from what
notify remembers of it.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.explain import snapshot_of
from services.lifecycle.core.fold import advance as lifecycle_advance
from services.lifecycle.core.fold import fold
from services.lifecycle.core.state import Account as LifecycleAccount
from services.lifecycle.core.state import begin
from services.notify.core.delivery import Decision, close_task
from services.notify.core.engine import advance, apply, next_due
from services.notify.core.past_steps import with_outcome, with_task_done
from services.notify.core.playbook import Playbook
from services.notify.core.state import Account
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.lifecycle import LifecycleMessage, Snapshot, StageChanged
from tests.journey.year.customers import DAYS, START, events_of

_DAY = timedelta(days=1)
_END = START + DAYS * _DAY
_FAVOUR = timedelta(days=95)
"""So long after the review advocacy asks for a referral: one favour a quarter."""


class Entry(NamedTuple):
    """A decision. `truth` is the account when it was made, for those that go out or are withheld for its state."""

    kind: str
    decision: Decision
    truth: Snapshot | None


class Departure(NamedTuple):
    """A message that left, or a task that was opened."""

    run: tuple[str, str, str]
    step: str
    channel: str
    at: datetime


class Ledger(NamedTuple):
    """Everything decided in a year, account by account in order of time, and what left of it."""

    entries: list[Entry]
    departures: list[Departure]


def run_of(decision: Decision) -> tuple[str, str, str]:
    """Which run of which play a decision is of."""
    return decision.account, decision.play, decision.occurrence


class Year:
    """One account's year."""

    def __init__(self, number: int, book: Playbook, compiled: CompiledDefinition, ledger: Ledger) -> None:
        self.kind, self.events = events_of(number)
        self.account = Account(self.events[0].account)
        self.lifecycle: LifecycleAccount = begin(self.account.id, self.events[0].at)
        self.book, self.compiled, self.ledger = book, compiled, ledger
        self.closes_tasks = number % 2 == 0
        self.to_close: list[tuple[datetime, str]] = []
        self.asks: list[tuple[datetime, str]] = []
        self.requests = 0

    def run(self) -> None:
        for event, following in pairwise([*self.events, None]):
            assert event is not None
            self._tell(fold(self.lifecycle, event, self.compiled, event.at))
            self._until(following.at if following else _END)

    def _until(self, end: datetime) -> None:
        """Midnights, surveys and what falls due before the next event."""
        while (midnight := self.lifecycle.next_due) is not None and midnight <= end:
            self._wait(midnight)
            self._tell(lifecycle_advance(self.lifecycle, midnight, self.compiled, midnight))
            for ask in [one for one in self.asks if one[0] <= midnight]:
                self.asks.remove(ask)
                self._ask(ask[1], midnight)
            if self.lifecycle.stage == "retention" and (midnight - START).days % 90 == 60:
                self._ask("nps_invite", midnight)
        self._wait(end)

    def _wait(self, until: datetime) -> None:
        """What falls due, each at its time: a message has left before the next step is looked at."""
        while (due := next_due(self.account)) is not None and due < until:
            self._close_tasks(due)
            self.account, decided = advance(self.account, due, self.book)
            self._note(decided)
        self._close_tasks(until)

    def _tell(self, messages: Iterable[LifecycleMessage]) -> None:
        for message in messages:
            self.account, decided = apply(self.account, message, self.book)
            self._note(decided)
            if isinstance(message, StageChanged) and message.stage == "adoption":
                self._ask("csat_invite", message.at)
            if isinstance(message, StageChanged) and message.stage == "advocacy":
                self.asks += [(message.at + _FAVOUR, "referral_invite"), (message.at + _FAVOUR, "referral_page")]

    def _ask(self, play: str, at: datetime) -> None:
        """As advocacy asks for it."""
        if "u0" in self.account.contacts:
            self.requests += 1
            head = {"id": f"{self.account.id}-r{self.requests}", "account": self.account.id, "at": at, "decided_at": at}
            topic = self.book.plays[play].class_
            request = OutreachRequested(**head, user="u0", play=play, outreach_class=topic, link="https://x.test/s")
            self.account, decided = apply(self.account, request, self.book)
            self._note(decided)

    def _note(self, decided: Iterable[Decision]) -> None:
        for decision in decided:
            judged = decision.send or decision.reason in {"unhappy", "urgent_ticket"}
            truth = snapshot_of(self.lifecycle, self.compiled) if judged else None
            self.ledger.entries.append(Entry(self.kind, decision, truth))
            if not decision.send:
                continue
            self.account = with_outcome(self.account, decision, decision.at)
            run = run_of(decision)
            self.ledger.departures.append(Departure(run, decision.step, decision.channel, decision.at))
            if self.book.channels[decision.channel].opens_task and self.closes_tasks:
                self.to_close.append((decision.at + 2 * _DAY, decision.id))

    def _close_tasks(self, until: datetime) -> None:
        """Half of the accounts are looked after by somebody who does a task in two days, the others by nobody."""
        for at, task in [one for one in self.to_close if one[0] <= until]:
            self.to_close.remove((at, task))
            self.account = with_task_done(close_task(self.account, task), task, at)


def simulate(numbers: Iterable[int], book: Playbook, compiled: CompiledDefinition) -> Ledger:
    """A year of the accounts with these numbers."""
    ledger = Ledger([], [])
    for number in numbers:
        Year(number, book, compiled, ledger).run()
    return ledger


def sends(ledger: Ledger) -> Iterator[Entry]:
    """What went out, tasks among it."""
    return (entry for entry in ledger.entries if entry.decision.send)
