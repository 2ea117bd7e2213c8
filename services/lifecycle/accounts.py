"""Changes to accounts: locked together, decided one at a time, written together with every decision."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, update

from services.lifecycle.core.feedback import wakes_at
from services.lifecycle.core.metrics.traits import date_in
from services.lifecycle.core.state import Account
from services.lifecycle.layouts import LAYOUTS
from services.lifecycle.tables import MAX_LISTED, account, decision, stage_visit
from shared.contracts.lifecycle import LifecycleMessage, StageChanged
from shared.db.accounts import AccountRepository, PartitionOf, Stored
from shared.db.protocol import Tx, Values


class Decided(NamedTuple):
    """An account after its evaluation, and what was decided about it, in order."""

    account: Account
    messages: list[LifecycleMessage]


Decide = Callable[[str, Account | None], Awaitable[Decided | None]]
"""Given an id and the account, None where it is not known; None leaves things as they are."""
WriteJournal = Callable[[Tx, Mapping[str, bytes]], Awaitable[None]]
"""Writes what the transaction took. Given the states, before it, of accounts of which the journal knows nothing yet."""

_visit = stage_visit.c
_OPEN_VISIT = (_visit.account_id == bindparam("of"), _visit.left_at.is_(None), _visit.seq < bindparam("by"))
_LEAVE = update(stage_visit).where(*_OPEN_VISIT).values(left_at=bindparam("at"), next_stage=bindparam("to"))
_TIME_SLICE = 0.05
"""Seconds of deciding before the other tasks of this process get the event loop."""
_encode = msgspec.json.Encoder().encode


MAX_SEARCHED = 150
"""Characters of a name that lists search in and sort by."""
_OWNER, _PLAN, _RENEWAL = "csm", "plan", "renewal_at"


def listed_traits(account: Account) -> Values:
    """What lists show of an account's traits. The owner is who looks after it: the trait `csm`."""
    name, renewal = _name(account), account.traits.get(_RENEWAL)
    return {
        "name": name,
        "search": name.casefold()[:MAX_SEARCHED],
        "owner": _text(account, _OWNER),
        "plan": _text(account, _PLAN),
        "renewal_at": date_in(renewal.value) if renewal is not None else None,
    }


def _timer(account: Account) -> Values:
    """What timers look for. An account that history holds is theirs as well, while something settles in it."""
    wakes = wakes_at(account)
    if account.replaying and wakes is None:
        return {"next_due": account.next_due, "replaying": True}
    return {"next_due": wakes, "replaying": False}


def listed_columns(account: Account) -> Values:
    """The columns that lists filter by and timers wait for."""
    return {
        **listed_traits(account),
        "clock": account.clock,
        "stage": account.stage,
        "entered_at": account.entered_at,
        "flags": f" {' '.join(sorted(account.flags))} ",
        "band": account.health.band,
        "score": account.health.score,
        **_timer(account),
        "seq": account.seq,
    }


def outline(account: Account) -> tuple[object, ...]:
    """Moves whenever a listed column but the clock moves: stage, flags and band only with a message, the score at midnight."""
    trait = account.traits.get
    name, owner, plan, renewal = trait("name"), trait(_OWNER), trait(_PLAN), trait(_RENEWAL)
    # written out: it is asked twice an account of every transaction
    listed = (name and name.value, owner and owner.value, plan and plan.value, renewal and renewal.value)
    if account.waiting or account.unsettled:
        return account.seq, *_timer(account).values(), listed
    return account.seq, account.next_due, account.replaying, listed


def repository(partition_of: PartitionOf) -> AccountRepository[Account]:
    """The accounts of lifecycle. An account begins with its first event, so the repository creates none."""
    return AccountRepository(account, LAYOUTS, listed_columns, None, partition_of)


async def change(
    tx: Tx,
    accounts: AccountRepository[Account],
    ids: Collection[str],
    partition_of: PartitionOf,
    decide: Decide,
    write_journal: WriteJournal,
) -> list[LifecycleMessage]:
    """Lock these accounts until the transaction ends, decide about each, write what came of it. Returns all decisions.

    What was taken is journaled where an account changed, and only then.

    An account is decoded, decided about and encoded while it is at hand in the processor's caches: all of them decoded
    first and encoded last cost two thirds more.
    """
    stored = await accounts.lock(tx, ids)
    now = asyncio.get_running_loop().time
    changes, began = _Changes(accounts, partition_of), now()
    for account_id in sorted(ids):
        await changes.decide(account_id, stored.get(account_id), decide)
        if now() - began > _TIME_SLICE:
            await asyncio.sleep(0)
            began = now()
    if changes.any:
        await changes.write(tx)
        await write_journal(tx, changes.unjournaled)
    return changes.decisions


class _Changes:
    """Rows to write. Where no listed column but the clock moved, only state and clock are written: that touches no index."""

    def __init__(self, accounts: AccountRepository[Account], partition_of: PartitionOf) -> None:
        self._accounts = accounts
        self._partition_of = partition_of
        self._full: list[Values] = []
        self._partial: list[Values] = []
        self.decisions: list[LifecycleMessage] = []
        self.unjournaled: dict[str, bytes] = {}

    @property
    def any(self) -> bool:
        """Whether an account changed."""
        return bool(self._full or self._partial)

    async def decide(self, account_id: str, stored: Stored[Account] | None, decide: Decide) -> None:
        before = stored.state() if stored is not None else None
        outline_before = outline(before) if before is not None else None
        decided = await decide(account_id, before)
        if decided is None:
            return
        after, partition = decided.account, self._partition_of(account_id)
        self.decisions += decided.messages
        row = {"id": account_id, "clock": after.clock, "state": self._accounts.encode(after)}
        if stored is not None and not stored.journaled:
            self.unjournaled[account_id] = stored.blob
        elif stored is not None and stored.partition == partition and outline_before == outline(after):
            self._partial.append(row)
            return
        self._full.append({**listed_columns(after), **row, "partition": partition, "journaled": True})

    async def write(self, tx: Tx) -> None:
        await self._accounts.save_rows(tx, self._full, self._partial)
        await tx.insert(decision, [_decision_row(one) for one in self.decisions])
        await _write_visits(tx, [one for one in self.decisions if isinstance(one, StageChanged)])


async def _write_visits(tx: Tx, changes: Sequence[StageChanged]) -> None:
    """Entering a stage ends the visit before, which stands in the table or is itself among these changes."""
    open_visits: dict[str, dict[str, Any]] = {}
    entered, left = [], []
    for change_ in changes:
        before = open_visits.get(change_.account)
        if before is not None:
            before |= {"left_at": change_.at, "next_stage": change_.stage}
        elif change_.previous is not None:
            left.append({"of": change_.account, "by": change_.seq, "at": change_.at, "to": change_.stage})
        open_visits[change_.account] = _visit_row(change_)
        entered.append(open_visits[change_.account])
    await tx.each(_LEAVE, left)
    await tx.insert(stage_visit, entered)


def _text(account: Account, name: str) -> str | None:
    trait = account.traits.get(name)
    return str(trait.value)[:MAX_LISTED] or None if trait is not None and trait.value is not None else None


def _name(account: Account) -> str:
    name = account.traits.get("name")
    return str(name.value) if name is not None and name.value is not None else account.id


def _decision_row(message: LifecycleMessage) -> dict[str, Any]:
    kind = str(message.__struct_config__.tag)
    body = _encode(message)
    return {"account_id": message.account, "seq": message.seq, "kind": kind, "at": message.at, "body": body}


def _visit_row(entered: StageChanged) -> dict[str, Any]:
    return {
        "account_id": entered.account,
        "seq": entered.seq,
        "stage": entered.stage,
        "entered_at": entered.at,
        "left_at": None,
        "next_stage": None,
    }
