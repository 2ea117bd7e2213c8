"""What does a message tell us about the account? Folds it into the account, and says what conditions may read."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from services.notify.core.known import REACHED, TRAIT
from services.notify.core.playbook import Playbook
from services.notify.core.state import MARKS, MOST_CONTACTS, Account, AccountView, Contact, Mark
from shared.contracts.advocacy import AdvocacyMessage
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import ClockAdvanced, ContactChanged, LifecycleMessage, Snapshot

Message = LifecycleMessage | AdvocacyMessage

MARK_EVERY = timedelta(days=30)
KEY_ROLES = frozenset({"champion", "admin", "owner"})


def fold(account: Account, message: Message, book: Playbook) -> Account:
    """The account after this message, its runs untouched."""
    snapshot: Snapshot | None = getattr(message, "snapshot", None)
    if snapshot is not None:
        return replace(account, view=_seen(account.view, snapshot, message.at, book))
    if isinstance(message, ContactChanged):
        return replace(account, contacts=_met(account.contacts, message))
    if isinstance(message, ClockAdvanced) and message.live:
        return _live(account)
    return account


def values(view: AccountView, book: Playbook) -> dict[str, Value]:
    """The names a condition may read. A flag that is not raised, a milestone not reached is false; a metric that is missing is unknown."""
    known: dict[str, Value] = {flag: flag in view.flags for flag in {*book.flags, *view.flags}}
    known |= {f"{name}{REACHED}": name in view.milestones for name in {*book.milestones, *view.milestones}}
    known |= {f"{TRAIT}{name}": _comparable(value) for name, value in view.traits.items()}
    known |= {name: _comparable(value) for name, value in view.metrics.items()}
    return known | {"stage": view.stage, "band": view.band, "score": _comparable(view.score)}


def _comparable(value: Value) -> Value:
    """Conditions compare doubles: a whole number is one too."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _seen(view: AccountView, snapshot: Snapshot, at: datetime, book: Playbook) -> AccountView:
    return AccountView(
        stage=snapshot.stage,
        entered_at=snapshot.entered_at,
        flags=snapshot.flags,
        band=snapshot.band,
        score=snapshot.score,
        metrics=snapshot.metrics,
        traits=snapshot.traits,
        milestones=snapshot.milestones,
        marks=_marked(view.marks, snapshot, at, book),
    )


def _marked(marks: list[Mark], snapshot: Snapshot, at: datetime, book: Playbook) -> list[Mark]:
    if marks and at < marks[-1].at + MARK_EVERY:
        return marks
    numbers = {name: snapshot.metrics.get(name) for name in book.remembered}
    kept = {name: float(value) for name, value in sorted(numbers.items()) if isinstance(value, int | float)}
    return [*marks, Mark(at, kept)][-MARKS:] if kept else marks


def _met(contacts: dict[str, Contact], message: ContactChanged) -> dict[str, Contact]:
    """With this person; where there are too many, the longest known without a key role is left out."""
    fresh = Contact(message.email, message.name, message.role, message.timezone, message.unsubscribed, message.gone)
    people = {user: contact for user, contact in contacts.items() if user != message.user} | {message.user: fresh}
    if len(people) > MOST_CONTACTS:
        plain = (user for user, contact in people.items() if (contact.role or "") not in KEY_ROLES)
        people.pop(next(plain, next(iter(people))))
    return people


def _live(account: Account) -> Account:
    """The wall clock takes over: what was only imagined no longer counts against the budget."""
    return replace(
        account,
        held=False,
        spent=[spent for spent in account.spent if not spent.history],
        tasks={play: task for play, task in account.tasks.items() if not task.history},
    )
