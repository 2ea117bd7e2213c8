"""Store of notify: accounts with what people consented to; deliveries, and the mode that says whether they leave.

Decisions read the account's state; the consent table is for lists. Each decision is one delivery, with its text, status and
reason; every change of a status goes through `change`, which allows what the machine in `core/delivery.py` allows.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import Row, Select, func, or_, select, update

from services.notify.core.channels import AttemptStage
from services.notify.core.delivery import DELIVERY, Decision, decode_decision
from services.notify.core.engine import next_due
from services.notify.core.state import EVERYTHING, LAYOUT, Account, from_layout_1
from services.notify.tables import account, consent, delivery, marker, outreach_mode
from shared.contracts.outreach import ConsentChanged, DeliveryStatus, OutreachClass, OutreachMode
from shared.db.accounts import AccountRepository, PartitionOf
from shared.db.layouts import Layouts
from shared.db.protocol import Read, Tx, Values
from shared.service.retention import RetentionPolicy

LAYOUTS = Layouts(Account, LAYOUT, {1: from_layout_1})
Accounts = AccountRepository[Account]
NOBODY = ""
"""The owner of accounts that have none."""
MAX_LISTED = 80
"""Characters of an owner that lists show and filter by. PostgreSQL indexes no row of more than 2,700 bytes."""
MAX_SEARCHED = 150
_consent = consent.c


class ConsentRecord(NamedTuple):
    """The latest consent of a person to a topic."""

    account: str
    user: str
    topic: str
    granted: bool
    source: str
    changed_at: datetime


def repository(partition_of: PartitionOf) -> Accounts:
    """The accounts. `partition_of` gives the partition of `lifecycle.v1` that holds an account's messages."""
    return AccountRepository(account, LAYOUTS, _account_columns, Account, partition_of)


async def save_consent(tx: Tx, change: ConsentChanged, source: str) -> None:
    """The latest consent replaces the earlier one. Coming back to everything takes back all that was declined."""
    if change.granted and change.topic == EVERYTHING:
        theirs = (_consent.account == change.account, _consent.user == change.user)
        await tx.run(update(consent).where(*theirs).values(granted=True, source=source, changed_at=change.at))
    record = ConsentRecord(change.account, change.user, change.topic, change.granted, source, change.at)
    await tx.upsert(consent, [record._asdict()])


async def consents_of(read: Read, user: str, account_id: str | None) -> list[ConsentRecord]:
    """Every consent of a person, in this account or in all."""
    found = select(*(_consent[name] for name in ConsentRecord._fields)).where(_consent.user == user)
    if account_id is not None:
        found = found.where(_consent.account == account_id)
    return [ConsentRecord(*tuple(row)) for row in await read.all(found.order_by(_consent.account, _consent.topic))]


def _account_columns(state: Account) -> Values:
    listed = listed_traits(state)
    return {
        "clock": state.clock,
        "next_due": next_due(state),
        "replaying": state.replaying,
        "owner": listed["owner"],
        "search": listed["search"],
    }


def listed_traits(state: Account) -> dict[str, str | None]:
    """What lists say of an account: its name, the same to search in, and its owner (the trait `csm`)."""
    traits = state.view.traits
    name, owner = traits.get("name"), traits.get("csm")
    shown = str(name) if name is not None and name != "" else state.id
    return {
        "name": shown,
        "search": shown.casefold()[:MAX_SEARCHED],
        "owner": str(owner)[:MAX_LISTED] or None if owner is not None else None,
    }


_c = delivery.c
_MODE_ROW = "outreach"
TRY_AGAIN = "try_again"
"""The reason of a delivery whose last attempt reached nobody, or was put off by the other side."""
NOT_SENT: tuple[DeliveryStatus, ...] = ("skipped", "failed", "unknown")
_UNDER_WAY: frozenset[DeliveryStatus] = frozenset({"pending", "sending", "opened"})


@dataclass(frozen=True)
class DeliverySummary:
    """A delivery in lists: everything but its texts."""

    id: str
    account: str
    user: str | None
    address: str | None
    play: str
    step: str
    channel: str
    outreach_class: OutreachClass
    topic: str
    status: DeliveryStatus
    reason: str
    detail: str
    at: datetime
    planned_at: datetime
    not_before: datetime
    expires_at: datetime
    history: bool
    subject: str
    attempt: int
    lease_epoch: int
    lease_until: datetime | None
    stage: Literal["", AttemptStage]
    maybe_delivered: bool
    provider_ref: str
    sent_at: datetime | None
    done_at: datetime | None
    person: str | None
    outcome: str
    done_by: str


@dataclass(frozen=True)
class DeliveryRecord(DeliverySummary):
    """A delivery, whole. `decision_json` is what the core decided, in any layout."""

    text: str
    html: str
    decision_json: bytes

    @property
    def decision(self) -> Decision:
        """What the core decided. Raises NewerDecision, and msgspec.ValidationError where it cannot be read."""
        return decode_decision(self.decision_json)


class FailedFilter(NamedTuple):
    """The failed deliveries to send again: those that match every value given."""

    play: str | None = None
    channel: str | None = None


class OutreachModeRecord(NamedTuple):
    """The mode, who set it and when; empty and None while it is the settings' own."""

    mode: OutreachMode
    set_by: str = ""
    set_at: datetime | None = None


def _columns(record: type[DeliverySummary]) -> list[Any]:
    names = [field.name for field in fields(record)]
    return [_c.decision.label(name) if name == "decision_json" else _c[name] for name in names]


SUMMARY = select(*_columns(DeliverySummary))
_RECORD = select(*_columns(DeliveryRecord))


def expired_deliveries(days: int) -> list[RetentionPolicy]:
    """Deliveries that came to an end, or were only shown, so long ago on the wall clock and on their accounts'."""
    ended = [status for status in get_args(DeliveryStatus) if status not in _UNDER_WAY]
    return [RetentionPolicy(delivery, timedelta(days=days), [_c.at, _c.planned_at], [_c.status.in_(ended)])]


async def existing(read: Read, ids: Collection[str]) -> set[str]:
    """Those of these that are stored already."""
    return {row.id for row in await read.among(select(_c.id), _c.id, ids)}


async def add(tx: Tx, rows: Iterable[Values]) -> None:
    """Write new ones; one that is there stays as it is."""
    await tx.insert_new(delivery, rows)


async def change(tx: Tx, record: DeliverySummary, to: DeliveryStatus, **values: Any) -> bool:
    """Move the delivery to a status if it still is as this record shows it; False when somebody else was faster.

    Raises IllegalTransition where the status cannot follow.
    """
    status = DELIVERY.transition(record.status, to)
    same = (_c.id == record.id, _c.status == record.status, _c.lease_epoch == record.lease_epoch)
    return await tx.run(update(delivery).where(*same).values(status=status, **values)) == 1


async def give_back(tx: Tx, record: DeliverySummary, now: datetime) -> None:
    """A sender stops: what was only claimed is as if it never was, what is in doubt need not wait for the lease."""
    same = (_c.id == record.id, _c.status == "sending", _c.lease_epoch == record.lease_epoch)
    as_before = {"status": "pending", "attempt": record.attempt - 1, "lease_until": None}
    await tx.run(update(delivery).where(*same, _c.stage == "claimed").values(as_before))
    await tx.run(update(delivery).where(*same, _c.stage == "data_sent").values(lease_until=now))


async def put_aside(tx: Tx, delivery_id: str, until: datetime, detail: str) -> None:
    """Leave a delivery that cannot be handled until then, whatever its status is: the others must not wait behind it."""
    waiting = update(delivery).where(_c.id == delivery_id, _c.status == "pending")
    await tx.run(waiting.values(not_before=until, reason="error", detail=detail))
    sending = update(delivery).where(_c.id == delivery_id, _c.status == "sending")
    await tx.run(sending.values(lease_until=until, detail=detail))


async def load(read: Read, delivery_id: str) -> DeliveryRecord | None:
    """A delivery, or None."""
    return _record(await read.first(_RECORD.where(_c.id == delivery_id)))


async def load_for_update(tx: Tx, delivery_id: str, *, skip_locked: bool = False) -> DeliveryRecord | None:
    """A delivery, locked, or None; with `skip_locked` also None while another sender has it locked."""
    return _record(await tx.first(_RECORD.where(_c.id == delivery_id).with_for_update(skip_locked=skip_locked)))


async def due(
    read: Read,
    now: datetime,
    limit: int,
    *,
    without: Collection[str] = (),
    of: str | None = None,
    ending: Collection[str] = (),
) -> list[str]:
    """Ids of pending ones whose time has come, the longest waiting first; of one channel, without some, or to addresses
    with one of these endings (in lower case).
    """
    waiting = select(_c.id).where(_c.status == "pending", _c.not_before <= now)
    if ending:
        waiting = waiting.where(or_(*(func.lower(_c.address).endswith(one) for one in ending)))
    if of is not None:
        waiting = waiting.where(_c.channel == of)
    if without:
        waiting = waiting.where(_c.channel.not_in(sorted(without)))
    return [row.id for row in await read.all(waiting.order_by(_c.not_before, _c.id).limit(limit))]


async def retry_now(tx: Tx, channel: str, now: datetime) -> None:
    """The channel answers again: what was to be tried later is due."""
    later = update(delivery).where(_c.status == "pending", _c.reason == TRY_AGAIN, _c.not_before > now)
    await tx.run(later.where(_c.channel == channel).values(not_before=now))


async def failed(tx: Tx, wanted: FailedFilter, now: datetime, limit: int) -> list[DeliverySummary]:
    """Deliveries that failed and may still be sent, locked in id order."""
    found = _failed(SUMMARY, wanted).where(_c.expires_at > now).order_by(_c.id).limit(limit)
    return [DeliverySummary(*tuple(row)) for row in await tx.all(found.with_for_update())]


async def count_expired_failures(read: Read, wanted: FailedFilter, now: datetime) -> int:
    """How many failed and may not be sent any more."""
    counted = _failed(select(func.count()).select_from(delivery), wanted)
    return int(await read.scalar(counted.where(_c.expires_at <= now)) or 0)


def _failed(found: Select[Any], wanted: FailedFilter) -> Select[Any]:
    """Those that failed, but not because their address is dead."""
    found = found.where(_c.status == "failed", _c.reason != "bounced", _c.history.is_(False))
    given = {name: value for name, value in wanted._asdict().items() if value is not None}
    return found.where(*(_c[name] == value for name, value in given.items()))


async def stranded(read: Read, now: datetime, limit: int) -> list[str]:
    """Ids of those whose sender did not come back in time, the longest overdue first."""
    lost = select(_c.id).where(_c.status == "sending", _c.lease_until <= now)
    return [row.id for row in await read.all(lost.order_by(_c.lease_until, _c.id).limit(limit))]


async def previewed(tx: Tx, play: str, now: datetime, limit: int) -> list[DeliverySummary]:
    """Deliveries of a play that are only shown and may still be sent, locked in id order."""
    shown = SUMMARY.where(_c.play == play, _c.status == "previewed", _c.history.is_(False), _c.expires_at > now)
    return [DeliverySummary(*tuple(row)) for row in await tx.all(shown.order_by(_c.id).limit(limit).with_for_update())]


async def counts(read: Read) -> dict[str, dict[str, int]]:
    """Play -> status -> number of deliveries."""
    found: dict[str, dict[str, int]] = {}
    counted = select(_c.play, _c.status, func.count().label("number")).group_by(_c.play, _c.status)
    for row in await read.all(counted.order_by(_c.play, _c.status)):
        found.setdefault(row.play, {})[row.status] = row.number
    return found


async def not_sent(read: Read) -> dict[str, dict[str, int]]:
    """Play -> reason -> number of deliveries that did not go out, and will not."""
    found: dict[str, dict[str, int]] = {}
    ended = select(_c.play, _c.reason, func.count().label("number")).where(_c.status.in_(NOT_SENT))
    for row in await read.all(ended.group_by(_c.play, _c.reason).order_by(_c.play, _c.reason)):
        found.setdefault(row.play, {})[row.reason] = row.number
    return found


async def account_ids(read: Read, after: str, limit: int) -> list[str]:
    """Ids of accounts behind this one, in order."""
    c = account.c
    return [row.id for row in await read.all(select(c.id).where(c.id > after).order_by(c.id).limit(limit))]


async def first_sent(read: Read, accounts: Collection[str], channels: Collection[str]) -> list[tuple[str, datetime]]:
    """Addresses that deliveries of these accounts went to on these channels, and when the first one did."""
    first = select(_c.account, _c.address, func.min(_c.sent_at).label("first")).group_by(_c.account, _c.address)
    sent = first.where(_c.sent_at.is_not(None), _c.address.is_not(None), _c.channel.in_(sorted(channels)))
    return [(row.address, row.first) for row in await read.among(sent, _c.account, accounts)]


async def marked(read: Read, name: str) -> str | None:
    """The value of what was done once; None where it was not done yet."""
    value = await read.scalar(select(marker.c.value).where(marker.c.name == name))
    return None if value is None else str(value)


async def mark(tx: Tx, name: str, value: str, now: datetime) -> None:
    """It is done; the first mark stays."""
    await tx.insert_new(marker, [{"name": name, "value": value, "at": now}])


async def read_mode(read: Read, default: OutreachMode) -> OutreachModeRecord:
    """The mode; the default before anybody set one."""
    c = outreach_mode.c
    row = await read.first(select(c.mode, c.set_by, c.set_at).where(c.name == _MODE_ROW))
    return OutreachModeRecord(default) if row is None else OutreachModeRecord(*tuple(row))


async def set_mode(tx: Tx, to: OutreachModeRecord) -> None:
    """From the next decision on."""
    await tx.upsert(outreach_mode, [{"name": _MODE_ROW, **to._asdict()}])


def _record(row: Row[Any] | None) -> DeliveryRecord | None:
    return None if row is None else DeliveryRecord(*tuple(row))
