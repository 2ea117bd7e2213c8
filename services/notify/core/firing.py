"""What happens when a step falls due? Each person it addresses is judged; every judgement is told or looked at again."""

from datetime import datetime

from msgspec.structs import replace

from services.notify.core.audience import addressed
from services.notify.core.caps import contact, kept
from services.notify.core.consent import TRANSACTIONAL
from services.notify.core.facts import facts
from services.notify.core.planned import Planned, key
from services.notify.core.playbook import PRIORITY, Play, Playbook, Step
from services.notify.core.policy import Case, Verdict, judge
from services.notify.core.reach import REACH
from services.notify.core.runs import keep, put
from services.notify.core.state import Account, Item, OpenTask, Run
from services.notify.core.tell import told

Due = tuple[Run, Item]


def next_item(account: Account, book: Playbook) -> Due | None:
    """What falls due first; of several at once, the more important class."""
    items = ((run, item) for run in account.runs for item in run.items)
    return min(items, key=lambda due: _order(due[0], due[1], book), default=None)


def fire(account: Account, run: Run, item: Item, book: Playbook) -> tuple[Account, list[Planned]]:
    """The account with this item done or put off, and what was decided."""
    at = max(item.due, account.clock or item.due)
    account = keep(replace(account, clock=at), run, item)
    play = book.plays.get(run.play)
    step = play.step(item.step) if play else None
    if play is None or step is None:
        return account, [told(account, run, item, Verdict("skip", "play_changed"), at)]
    planned: list[Planned] = []
    for user in _users(account, play, step, item):
        account = _decide(account, run, replace(item, user=user, waiting=False), (book, play, step, at), planned)
    return account, planned


def _order(run: Run, item: Item, book: Playbook) -> tuple[datetime, int, str, str, str, str]:
    play = book.plays.get(run.play)
    priority = PRIORITY.index(play.class_) if play else len(PRIORITY)
    return item.due, priority, run.play, run.occurrence, item.step, item.user or ""


def _users(account: Account, play: Play, step: Step, item: Item) -> list[str | None]:
    if item.user is not None or not REACH[step.channel].customer:
        return [item.user]
    return [*addressed(account, play, step)] or [None]


def _decide(
    account: Account, run: Run, item: Item, ready: tuple[Playbook, Play, Step, datetime], planned: list[Planned]
) -> Account:
    book, play, step, at = ready
    delivery = key(play.name, account.id, run.occurrence, step.name, item.user, step.channel)
    case = Case(account, book, play, step, item.user, delivery, at, item.expires_at)
    verdict = judge(case)
    if verdict.action == "defer":
        waiting = verdict.reason == "no_contact"
        return put(account, run, replace(item, due=verdict.until or at, waiting=waiting))
    mentioned = facts(account, item.user, run.ask, at) if verdict.action == "send" else {}
    decision = told(account, run, item, verdict, at, play, step, mentioned)
    planned.append(decision)
    return _remembered(account, decision, book)


def _remembered(account: Account, planned: Planned, book: Playbook) -> Account:
    """Its rest, its place in the budget, its open task. A held-out account rests as if it had been contacted."""
    if planned.send or planned.reason == "holdout":
        account = replace(account, contacted=account.contacted | {planned.play: planned.at})
    if not planned.send:
        return account
    if not REACH[planned.channel].customer:
        task = OpenTask(planned.id, planned.at, planned.history)
        return replace(account, tasks=account.tasks | {planned.play: task})
    return account if planned.outreach_class == TRANSACTIONAL else _spend(account, planned, book)


def _spend(account: Account, planned: Planned, book: Playbook) -> Account:
    return replace(account, spent=[*kept(account.spent, planned.at, book.budget), contact(planned, planned.at)])
