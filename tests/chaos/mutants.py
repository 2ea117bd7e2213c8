"""Mutants: each guard of the product taken out, one at a time, and the invariants that must break then."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import update

from services.advocacy.store import referrals
from services.ingest import handlers as ingest
from services.ingest import store as ingest_store
from services.ingest.core import account_resolution, canonical
from services.lifecycle import handlers as lifecycle
from services.lifecycle.core import fold as folding
from services.lifecycle.core.evaluation import Evaluation
from services.lifecycle.core.fold import advance, fold
from services.notify import store
from services.notify.core import engine, order, policy
from services.notify.handlers import delivery as delivering
from services.notify.persons import Persons
from services.notify.tables import delivery
from shared.bus import relay
from shared.bus.producer import GroupCommit
from shared.bus.tables import log_end
from shared.contracts.topics import LIFECYCLE
from shared.contracts.usage import UsageEvent
from shared.db.postgres import PostgresDatabase
from shared.db.sqlite import SqliteDatabase
from shared.service import consumer, journal, ownership, processor
from shared.service.clock_watch import WatchedClock


class MissingAttributeError(Exception):
    """The product has no such attribute any more: the plant must follow it."""


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """`owner.name` is `value` in this block."""
    if name not in vars(owner):
        raise MissingAttributeError(f"{owner!r} has no '{name}'")
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


Plant = Callable[[ExitStack], None]
HALTED = "halted"
"""Noticed by the guard behind: the reader stops rather than lose anything. Stands among the invariants a mutant breaks."""


class Mutant(NamedTuple):
    """`gone` is the guard that is taken out, `caught` the invariants of which at least one must break."""

    gone: str
    plant: Plant
    caught: tuple[str, ...]


def _put(owner: Any, name: str, value: Any) -> Plant:
    return lambda stack: stack.enter_context(replaced(owner, name, value))


def _both(*plants: Plant) -> Plant:
    def plant(stack: ExitStack) -> None:
        for one in plants:
            one(stack)

    return plant


_IN_PARTITION, _c = ownership._OF_PARTITION, ownership._c  # noqa: SLF001  a mutant changes what is inside; so everywhere in this file
_TO = {
    name: ownership.bindparam(to)
    for name, to in (
        ("next_offset", "to_offset"),
        ("next_sequence", "to_sequence"),
        ("last_fingerprint", "to_fingerprint"),
    )
}
_TOUCH = update(ownership.consumer_cursor).where(*_IN_PARTITION).values(updated_at=ownership.bindparam("now"))
_EPOCH = _c.epoch == ownership.bindparam("our_epoch")
_PLACE = _c.next_offset == ownership.bindparam("from_offset")
_of_any_place = _put(ownership, "_ADVANCE", _TOUCH.where(_EPOCH).values(**_TO))
_of_any_epoch = _both(_put(ownership, "_ADVANCE", _TOUCH.where(_PLACE).values(**_TO)), _put(ownership, "_LOCK", _TOUCH))
_of_anybody = _both(_put(ownership, "_ADVANCE", _TOUCH.values(**_TO)), _put(ownership, "_LOCK", _TOUCH))


async def _believed(_self: Any, _reader: Any, batch: Any, claim: Any) -> bool:
    return bool(batch.end > claim.next_offset)


def _unsequenced(batch: Any, claim: Any) -> tuple[list[Any], int]:
    fresh = [record for record in batch.records if record.offset >= claim.next_offset]
    return fresh, max((record.sequence + 1 for record in fresh), default=claim.next_sequence)


_send = relay.Relay._send  # noqa: SLF001


async def _carried_at_once(self: Any, partition: Any, rows: Any) -> int:
    try:
        return await _send(self, partition, rows)
    except Exception:  # noqa: BLE001  that is the mistake
        last = rows[-1]
        return int(last.base_offset) + len(relay.decode_block(last.block))


_PAST_A_HOLE = (
    update(log_end)
    .where(log_end.c.topic == relay.bindparam("in_topic"), log_end.c.partition == relay.bindparam("in_partition"))
    .where(relay.bindparam("end") >= 0)
    .values(relayed_offset=log_end.c.next_offset)
)


async def _everything_is_new(_tx: Any, keys: Any, _batch: int, _now: Any) -> set[bytes]:
    return set(keys)


_publish = GroupCommit.publish


async def _not_awaited(self: Any, topic: str, records: Any) -> None:
    task = asyncio.ensure_future(_publish(self, topic, records))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


def _after_commit(real: Any) -> Any:
    """State first, messages in a transaction of their own."""

    @asynccontextmanager
    async def transaction(self: Any) -> AsyncIterator[Any]:
        async with real(self) as tx:
            yield tx
            said, tx.emitted = tx.emitted, []
        if said:
            await asyncio.sleep(0.05)
            async with real(self) as later:
                later.emitted.extend(said)

    return transaction


_numbers = count(1)
_key = engine.delivery_id


def _drawn(*cause: Any) -> str:
    return f"{_key(*cause)}-{next(_numbers)}"


async def _changed_by_anybody(tx: Any, record: Any, to: str, **values: Any) -> bool:
    moved = values if to == record.status else {"status": to, **values}
    return await tx.run(update(delivery).where(delivery.c.id == record.id).values(moved)) == 1


async def _unasked_by_lease(self: Any, tx: Any, record: Any, now: Any) -> bool:
    account = await self._account(tx, record.account)
    asked = delivering.recheck(account, record.decision, now, self._book, delivering.CONFIRM_CHECKS)
    return asked.action != "skip" and await store.change(tx, record, "sending", stage="data_sent")


async def _unstaged(_self: Any, _tx: Any, _row: Any, _now: Any) -> bool:
    return True


_settlement = delivering.settlement


def _repeated(outcome: Any) -> Any:
    return _settlement("retry" if outcome == "uncertain" else outcome)


_lock = Persons.lock


async def _nothing_spent(self: Any, tx: Any, keys: Any) -> dict[str, list[Any]]:
    return {key: [] for key in await _lock(self, tx, keys)}


async def _nothing_known(_self: Any, _read: Any, _keys: Any) -> dict[str, Any]:
    return {}


_ledger_rows = referrals._ledger_rows  # noqa: SLF001
_record_decision = Evaluation.record_decision


def _skipping(self: Any, kind: Any, **fields: Any) -> None:
    self.account.seq += self.account.seq % 7 == 3
    _record_decision(self, kind, **fields)


_fold_next = lifecycle.fold_next


def _by_the_wall(evaluation: Any, event: Any, compiled: Any) -> Any:
    account, now = evaluation.account, evaluation.decided_at
    return [*advance(account, now, compiled, now), *fold(account, event, compiled, now)]


def _late_twice(evaluation: Any, event: Any, compiled: Any) -> Any:
    late = event.at < evaluation.account.clock
    messages = _fold_next(evaluation, event, compiled)
    return [*messages, *_fold_next(evaluation, event, compiled)] if late else messages


_fold_all = lifecycle.Handlers._fold  # noqa: SLF001


async def _by_batch(self: Any, tx: Any, batch: Any, part_of: Any) -> None:
    by_time = sorted(batch.messages, key=lambda event: event.at)
    await _fold_all(self, tx, batch._replace(messages=by_time), part_of)


_write_journal = journal.Journal.write


async def _without_time(self: Any, tx: Any, taken: Any, unknown: Any) -> None:
    if taken.kind != "time":
        await _write_journal(self, tx, taken, unknown)


_keep = lifecycle.keep


def _where_it_came(account: Any, event: Any) -> None:
    _keep(account, msgspec.structs.replace(event, at=account.clock))


async def _driving(self: Any, tx: Any, events: Any, taken: Any) -> list[Any]:
    by_id, now = lifecycle.by_account(events), self._clock.now()

    async def driven(account_id: str, account: Any) -> Any:
        if account is None:
            return None
        messages = [one for event in by_id[account_id] for one in fold(account, event, self._compiled, now)]
        return lifecycle.Decided(account, messages)

    async def journaled(tx: Any, unknown: Any) -> None:
        await self._journal.write(tx, taken(()), unknown)

    tx.emit(LIFECYCLE, await lifecycle.change(tx, self.accounts, by_id, self._partition_of, driven, journaled))
    return []


_join = account_resolution._join  # noqa: SLF001


def _joined_by_anybody(user: Any, new: Any, current: Any, changed: Any) -> Any:
    return _join(user, new._replace(trusted=True), current, changed)


_time_of = canonical._time_of  # noqa: SLF001
_ANY_TIME = canonical.TimeBounds(back=timedelta(days=75_000), ahead=timedelta(days=75_000))


def _as_said(event: Any, request: Any, trust: Any, _bounds: Any) -> Any:
    return _time_of(event, request, trust, _ANY_TIME)


MUTANTS: dict[str, Mutant] = {
    "cursor_of_anybody": Mutant("the cursor's check of `next_offset`, and its epoch", _of_anybody, ("I1", "I3")),
    "gap_believed": Mutant(
        "only what comes next is taken", _put(consumer.Consumer, "_is_next", _believed), ("I1", "I2", HALTED)
    ),
    "sequence_unread": Mutant(
        "the consumer's check of the producer's sequence", _put(processor, "_new_records", _unsequenced), ("I3",)
    ),
    "carried_before_the_ack": Mutant(
        "the relay waits for the log", _put(relay.Relay, "_send", _carried_at_once), ("I5",)
    ),
    "carried_past_a_hole": Mutant("the relay goes on where it stopped", _put(relay, "_RELAYED", _PAST_A_HOLE), ("I5",)),
    "emitted_after_commit": Mutant(
        "messages are rows of the transaction that caused them",
        _both(
            *(_put(one, "transaction", _after_commit(one.transaction)) for one in (SqliteDatabase, PostgresDatabase))
        ),
        ("I2", "I5"),
    ),
    "answered_before_the_log": Mutant(
        "200 only when the log has it", _put(GroupCommit, "publish", _not_awaited), ("I2",)
    ),
    "window_open": Mutant("ingest's dedupe window", _put(ingest_store, "insert_new_keys", _everything_is_new), ("I3",)),
    "outage_parks": Mutant(
        "an outage is no fault of the record", _put(processor, "is_infrastructure", lambda _error: False), ("I11",)
    ),
    "sequence_skips": Mutant(
        "an account's messages are numbered without a gap",
        _put(Evaluation, "record_decision", _skipping),
        ("I4",),
    ),
    "decided_by_the_wall": Mutant("time is an argument", _put(lifecycle, "fold_next", _by_the_wall), ("I10",)),
    "late_event_taken_twice": Mutant(
        "a late event is taken once", _put(lifecycle, "fold_next", _late_twice), ("I3", "I10")
    ),
    "decided_by_batch": Mutant("a batch decides nothing", _put(lifecycle.Handlers, "_fold", _by_batch), ("I10",)),
    "feedback_drives_the_clock": Mutant(
        "feedback waits for its place", _put(lifecycle.Handlers, "_keep", _driving), ("I10",)
    ),
    "feedback_where_it_came": Mutant(
        "feedback has its own place, wherever it arrives", _put(lifecycle, "keep", _where_it_came), ("I10",)
    ),
    "tick_unjournaled": Mutant("what time does is an input", _put(journal.Journal, "write", _without_time), ("I10",)),
    "message_taken_twice": Mutant(
        "notify takes no message twice",
        _both(_put(engine, "_repeated", lambda *_given: False), _put(order, "is_new", lambda *_given: True)),
        ("I10",),
    ),
    "request_ahead_of_its_message": Mutant(
        "a history goes in the order of cause", _put(order.Turns, "_is_its_turn", lambda *_given: True), ("I10",)
    ),
    "stage_not_committed": Mutant(
        "the point of no return is committed",
        _put(delivering.DeliveryHandlers, "confirm_send", _unstaged),
        ("I6", "I9"),
    ),
    "doubt_is_sent_again": Mutant(
        "what is in doubt is not mailed again",
        _put(delivering, "settlement", _repeated),
        ("I6",),
    ),
    "lease_unfenced": Mutant(
        "a lost lease is noticed",
        _both(
            _put(store, "change", _changed_by_anybody),
            _put(delivering.DeliveryHandlers, "confirm_send", _unasked_by_lease),
        ),
        ("I6",),
    ),
    "no_last_question": Mutant(
        "consent is asked at the last word", _put(delivering, "CONFIRM_CHECKS", (lambda _case: None,)), ("I9",)
    ),
    "cap_uncounted": Mutant("the contact budget", _put(policy, "exceeded_cap", lambda *_given: None), ("I7",)),
    "cap_of_one_account": Mutant(
        "what other accounts sent to the person counts",
        _both(_put(Persons, "lock", _nothing_spent), _put(Persons, "spent", _nothing_known)),
        ("I7",),
    ),
    "no_of_one_account": Mutant(
        "what the person refused in other accounts is asked for", _put(Persons, "refusals", _nothing_known), ("I13",)
    ),
    "ledger_one_sided": Mutant(
        "both lines of a transaction", _put(referrals, "_ledger_rows", lambda one: _ledger_rows(one)[:1]), ("I8",)
    ),
    "browser_believed": Mutant(
        "what a browser may say", _put(UsageEvent, "is_trusted", property(lambda _event: True)), ("I14",)
    ),
    "times_believed": Mutant(
        "the door's bounds on the times that senders say", _put(canonical, "_time_of", _as_said), ("I12",)
    ),
    "stamps_believed": Mutant(
        "no receipt is later than its reading",
        _put(ingest.Handlers, "_received_by", lambda _self, _now, events: events),
        ("I12",),
    ),
    "clock_believed": Mutant(
        "a clock that cannot be right tells no time",
        _put(WatchedClock, "now", lambda self: self.machine.now()),
        ("I12",),
    ),
    "midnights_one_by_one": Mutant("a gap is a jump", _put(folding, "_skip_quiet", lambda *_given: False), ("I12",)),
    "browser_moves_users": Mutant(
        "a browser moves no user", _put(account_resolution, "_join", _joined_by_anybody), ("I14",)
    ),
}
"""Every guard that can be taken out: its name, what is gone, how, and what must notice."""

COVERED: dict[str, Mutant] = {
    "cursor_moves_from_anywhere": Mutant("the cursor's check of `next_offset`: the epoch holds", _of_any_place, ()),
    "cursor_of_any_epoch": Mutant("the cursor's epoch: the check of `next_offset` holds", _of_any_epoch, ()),
    "key_drawn_anew": Mutant(
        "a delivery's id is derived: notify takes no message twice", _put(engine, "delivery_id", _drawn), ()
    ),
}
"""Guards behind which another stands: alone they are missed by nobody. Two of them together stand above."""


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The product without that guard, in this block."""
    with ExitStack() as stack:
        (MUTANTS | COVERED)[name].plant(stack)
        yield
