"""Account view: folds lifecycle messages into the account, and gives conditions and templates the values they read."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from services.notify.core.conditions import REACHED, TRAIT
from services.notify.core.past_steps import MESSAGES_SENT, STEP_VALUES
from services.notify.core.playbook import Counting, Playbook
from services.notify.core.state import (
    MAX_CONTACTS,
    MAX_SNAPSHOTS,
    Account,
    AccountView,
    Contact,
    MetricSnapshot,
    Request,
)
from shared.contracts.advocacy import AdvocacyMessage
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import ClockAdvanced, ContactChanged, LifecycleMessage, Snapshot
from shared.names import company_name, customer_name, greeting_name, person_name, plain_text, visible

Message = LifecycleMessage | AdvocacyMessage

YOUR_COMPANY = "your company"
"""What a message to a customer calls an account without a name. Whoever signs up writes the name: one that is an id, or an
advertisement, is none.
"""
CSM_VALUES = {"csm": "_csm", "csm_email": "_csm_email"}
"""Traits that say who answers for an account, and the values that carry them as they are: no template may read those."""

_SNAPSHOT_EVERY = timedelta(days=30)
_KEY_ROLES = frozenset({"champion", "admin", "owner"})
_QUARTER = timedelta(days=90)
_WORTH_COMPARING = timedelta(days=25)
_ASK, _LINK = "ask_", "link"
"""The values that a request brings along: their prefix, and its link."""
_KEPT = (_ASK, *STEP_VALUES)
_NO_DAYS = Counting()
_CENTURY = 36_525
DAY_OF = "day_of_"
_SINCE_BEGINNING = frozenset({"days_in_stage", "tenure_days"})


def fold(account: Account, message: Message, book: Playbook) -> Account:
    """The account after this message, its runs untouched."""
    snapshot: Snapshot | None = getattr(message, "snapshot", None)
    if snapshot is not None:
        return replace(account, view=_view(account.view, snapshot, message.at, book))
    if isinstance(message, ContactChanged):
        return replace(account, contacts=_with_contact(account.contacts, message))
    if isinstance(message, ClockAdvanced) and message.live:
        return _live(account)
    return account


def condition_values(view: AccountView, book: Playbook) -> dict[str, Value]:
    """The names a condition may read. A flag that is not raised, a milestone not reached is false; a metric that is missing is unknown."""
    values: dict[str, Value] = {flag: flag in view.flags for flag in {*book.flags, *view.flags}}
    values |= {f"{name}{REACHED}": name in view.milestones for name in {*book.milestones, *view.milestones}}
    values |= {f"{TRAIT}{name}": _comparable(value) for name, value in view.traits.items()}
    values |= {name: _comparable(value) for name, value in view.metrics.items()}
    return values | {"stage": view.stage, "band": view.band, "score": _comparable(view.score)}


def template_values(
    account: Account,
    user: str | None,
    request: Request | None,
    at: datetime,
    counting: Counting = _NO_DAYS,
    *,
    to_customer: bool = True,
) -> dict[str, Value]:
    """What a template may say, unknown values left out.

    Metrics by their names, `trait_`, `reached_` (a date), `before_` (a quarter ago), `ask_` (of a request), `day_of_` (the
    date of what a metric counts days from, or to). The latest message may be days old: what only time moves is as of `at`. Texts that a
    customer chose are cleaned: one that carries a link or a domain is unknown. An account without a name is "your company"
    to a customer, who has no `company_name` then, and its id to our own people.
    """
    view = account.view
    values: dict[str, Value] = {f"trait_{name}": _presentable(value) for name, value in view.traits.items()}
    values |= {f"reached_{name}": when.date().isoformat() for name, when in view.milestones.items()}
    values |= {name: _presentable(value) for name, value in view.metrics.items()} | _a_quarter_ago(view.snapshots, at)
    values |= _of_days(view, at, counting)
    if request:
        values |= {f"{_ASK}{name}": value for name, value in request.values.items()} | {_LINK: request.link}
        values |= {f"{_ASK}name": person_name(request.values.get("name"))}
    values |= {"stage": view.stage, "band": view.band, "score": view.score, "today": at.date().isoformat()}
    name = customer_name(view.traits.get("name"), account.id) if to_customer else _own_name(account)
    values |= {"account_name": name or YOUR_COMPANY, "company_name": name, "first_name": _first_name(account, user)}
    values |= {key: visible(view.traits.get(trait)) for trait, key in CSM_VALUES.items()}
    return {name: value for name, value in sorted(values.items()) if value is not None}


def values_when_leaving(
    account: Account,
    user: str | None,
    decided: Mapping[str, Value],
    at: datetime,
    counting: Counting = _NO_DAYS,
    *,
    to_customer: bool,
) -> dict[str, Value]:
    """What a message may say when it leaves: the account's values of then, beside what only its request and its run knew.

    `decided` are the values of the decision: what was true then and is unknown now is not said.
    """
    kept = {name: value for name, value in decided.items() if name.startswith(_KEPT) or name in {_LINK, MESSAGES_SENT}}
    return template_values(account, user, None, at, counting, to_customer=to_customer) | kept


def _of_days(view: AccountView, at: datetime, counting: Counting) -> dict[str, Value]:
    """What counts days, as of `at`. Of what happens again and again only its day is: there may have been another since."""
    if view.at is None:
        return {}
    values: dict[str, Value] = {}
    seen, passed = view.at.astimezone(UTC).date(), (at.astimezone(UTC).date() - view.at.astimezone(UTC).date()).days
    for name, days in view.metrics.items():
        if isinstance(days, bool) or not isinstance(days, int | float) or abs(days) > _CENTURY:
            continue
        if name in counting.down:  # what lies behind is not to come in so many days
            to_come = days - passed
            values |= {name: to_come if to_come >= 0 else None}
            values[f"{DAY_OF}{name}"] = (seen + timedelta(days=days)).isoformat()
        elif name in counting.up:
            values[f"{DAY_OF}{name}"] = (seen - timedelta(days=days)).isoformat()
        elif name in _SINCE_BEGINNING:
            values[name] = days + passed
    return values


def _comparable(value: Value) -> Value:
    """Conditions compare doubles: a whole number is one too."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _view(view: AccountView, snapshot: Snapshot, at: datetime, book: Playbook) -> AccountView:
    return AccountView(
        stage=snapshot.stage,
        entered_at=snapshot.entered_at,
        flags=snapshot.flags,
        band=snapshot.band,
        score=snapshot.score,
        metrics=snapshot.metrics,
        traits=snapshot.traits,
        milestones=snapshot.milestones,
        snapshots=_with_snapshot(view.snapshots, snapshot, at, book),
        at=at,
    )


def _with_snapshot(
    snapshots: list[MetricSnapshot], snapshot: Snapshot, at: datetime, book: Playbook
) -> list[MetricSnapshot]:
    if snapshots and at < snapshots[-1].at + _SNAPSHOT_EVERY:
        return snapshots
    numbers = {name: snapshot.metrics.get(name) for name in book.compared_metrics}
    metrics = {name: float(value) for name, value in sorted(numbers.items()) if isinstance(value, int | float)}
    return [*snapshots, MetricSnapshot(at, metrics)][-MAX_SNAPSHOTS:] if metrics else snapshots


def _with_contact(contacts: dict[str, Contact], message: ContactChanged) -> dict[str, Contact]:
    """With this person; where there are too many, the longest known without a key role is left out.

    Who left, or is described anew, has not come back to our mail: only a trusted source that takes the no back says so.
    """
    before = contacts.get(message.user, Contact())
    fresh = Contact(
        email=message.email,
        name=message.name,
        role=message.role,
        timezone=message.timezone,
        unsubscribed=message.unsubscribed or (before.unsubscribed and not message.resubscribed),
        gone=message.gone,
        email_trusted=message.email_trusted,
    )
    people = {user: contact for user, contact in contacts.items() if user != message.user} | {message.user: fresh}
    if len(people) > MAX_CONTACTS:
        plain = (user for user, contact in people.items() if (contact.role or "") not in _KEY_ROLES)
        people.pop(next(plain, next(iter(people))))
    return people


def _live(account: Account) -> Account:
    """The wall clock takes over: contacts and tasks that were decided in the replay no longer count."""
    return replace(
        account,
        replaying=False,
        budget_entries=[entry for entry in account.budget_entries if not entry.history],
        open_tasks={play: task for play, task in account.open_tasks.items() if not task.history},
    )


def _presentable(value: Value) -> Value:
    """A customer's value as a text may say it; None, which is unknown, for one that carries a link."""
    return plain_text(value) if isinstance(value, str) else value


def _own_name(account: Account) -> str:
    """What our own people know the account by."""
    return company_name(account.view.traits.get("name")) or company_name(account.id) or "an account without a name"


def _first_name(account: Account, user: str | None) -> str:
    """How to greet them."""
    contact = account.contacts.get(user or "")
    return (greeting_name(contact.name) if contact else None) or "there"


def _a_quarter_ago(snapshots: list[MetricSnapshot], at: datetime) -> dict[str, Value]:
    """The snapshot closest to a quarter ago, where one is old enough to compare with."""
    old = [snapshot for snapshot in snapshots if snapshot.at <= at - _WORTH_COMPARING]
    if not old:
        return {}
    closest = min(old, key=lambda snapshot: abs(snapshot.at - (at - _QUARTER)))
    values: dict[str, Value] = {f"before_{name}": value for name, value in closest.metrics.items()}
    return values | {"before_date": closest.at.date().isoformat()}
