"""Store of persons, by keyed hash: what they refused, and what was spent of their budget over all accounts.

A person is locked after the account, every key of a transaction in one call, so that two accounts cannot both write to one
person. Refusals are read under that lock before a message leaves, and written under it: a no comes before, or after.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, delete, func, literal, select, tuple_

from services.notify.core.person import PersonKeys
from services.notify.core.state import ANSWERABLE, EVERYTHING, BudgetEntry, Refusal, SuppressionReason
from services.notify.tables import marker, person, suppression
from shared.db.protocol import Read, Tx, Values
from shared.failures import Halted

_FOLLOWS = "follows:"
_HASHED_WITH = "persons are hashed with"
_spent = msgspec.json.Decoder(list[BudgetEntry])
_c = suppression.c
_Row = tuple[str, str, SuppressionReason]
"""A suppression's key: the person's, the topic and the reason."""


class Suppression(NamedTuple):
    """One reason not to write to a person. `source` is who told it, `address` stands for lists until it is erased."""

    person: str
    topic: str
    reason: SuppressionReason
    source: str
    detail: str
    address: str | None
    at: datetime

    @property
    def refusal(self) -> Refusal:
        """As decisions read it."""
        return Refusal(self.topic, self.reason)


class NewRefusal(NamedTuple):
    """What speaks against writing to somebody from now on."""

    topic: str
    reason: SuppressionReason
    source: str
    at: datetime
    detail: str = ""


class Persons:
    """The persons of an installation; `keys` hashes with its secret."""

    def __init__(self, keys: PersonKeys) -> None:
        self.keys = keys
        self._verified = False

    async def verify(self, tx: Tx, now: datetime) -> None:
        """Raises Halted where the persons of this database were hashed with another secret: no refusal would be found."""
        if self._verified:
            return
        known = await tx.scalar(select(marker.c.value).where(marker.c.name == _HASHED_WITH))
        if known is None:
            await tx.insert_new(marker, [{"name": _HASHED_WITH, "value": self.keys.fingerprint, "at": now}])
        elif known != self.keys.fingerprint:
            raise Halted(
                "the refusals in this database were hashed with another secret: set WAYMARK_SECRET (or the secret in "
                "credentials.json) to the one it was created with; with another one nobody's no would be found"
            )
        self._verified = known is not None

    async def lock(self, tx: Tx, keys: Collection[str]) -> dict[str, list[BudgetEntry]]:
        """The contacts that still count, by key; the rows are there and locked in the order of their keys.

        New ones are written before any is locked: whoever held a lock and waited for somebody else's new row could be waited for.
        """
        known = {row.id for row in await tx.among(select(person.c.id), person.c.id, keys)}
        if missing := sorted({*keys} - known):
            await tx.insert_new(person, [{"id": key, "spent": "[]"} for key in missing])
        rows = select(person.c.id, person.c.spent).with_for_update()
        return {row.id: _spent.decode(row.spent) for row in await tx.among(rows, person.c.id, keys)}

    async def save_spent(self, tx: Tx, spent: Mapping[str, Iterable[BudgetEntry]]) -> None:
        """Write the contacts of locked persons."""
        rows = [{"id": key, "spent": msgspec.json.encode(list(those)).decode()} for key, those in spent.items()]
        await tx.update(person, rows)

    async def save_first_mailed(self, tx: Tx, first: Mapping[str, datetime]) -> None:
        """Write when mail first went to these locked persons."""
        await tx.update(person, [{"id": key, "first_mailed_at": at} for key, at in sorted(first.items())])

    async def spent(self, read: Read, keys: Collection[str]) -> dict[str, list[BudgetEntry]]:
        """The contacts that still count, by key, not locked; of whom nothing is known is left out."""
        rows = await read.among(select(person.c.id, person.c.spent), person.c.id, keys)
        return {row.id: _spent.decode(row.spent) for row in rows}

    async def refusals(self, read: Read, keys: Collection[str]) -> dict[str, tuple[Refusal, ...]]:
        """What each refused; those who refused nothing are left out."""
        found: dict[str, tuple[Refusal, ...]] = {}
        for one in await self.suppressions(read, keys):
            found[one.person] = (*found.get(one.person, ()), one.refusal)
        return found

    async def suppressions(self, read: Read, keys: Collection[str]) -> list[Suppression]:
        """Everything that speaks against writing to them."""
        return [Suppression(*tuple(row)) for row in await read.among(select(suppression), _c.person, keys)]

    async def suppress(self, tx: Tx, address: str | None, user: str | None, new: NewRefusal) -> bool:
        """From its commit on nothing that this forbids leaves, to the address and to the user id; False where it was so before."""
        keys = self.refusing(address, user, new.reason)
        await self.lock(tx, keys)
        return await self.add(tx, dict.fromkeys(keys, address), new)

    def refusing(self, address: str | None, user: str | None, reason: SuppressionReason) -> list[str]:
        """The keys that a refusal is written for: a no is the mailbox's, whatever the tag; that mail comes back says something of the spelling alone."""
        if reason == "bounced":
            return [key for key in (self.keys.of_address(address), self.keys.of_user(user) if user else None) if key]
        return self.keys.of(address, user)

    async def add(self, tx: Tx, addresses: Mapping[str, str | None], new: NewRefusal) -> bool:
        """Write it for these locked persons: key -> address, for lists. False where all of it was there."""
        rows = [{"person": key, "address": address, **new._asdict()} for key, address in sorted(addresses.items())]
        return await tx.insert_new(suppression, rows) > 0

    async def suppress_all(self, tx: Tx, wanted: Iterable[tuple[str, NewRefusal]]) -> int:
        """Many addresses at once; what is no address is left out. How many are new."""
        told, behind = dict[_Row, Values](), dict[_Row, Values]()
        for address, new in wanted:
            row = {"address": address, **new._asdict()}
            for place, key in enumerate(self.refusing(address, None, new.reason)):
                (behind if place else told)[key, new.topic, new.reason] = {"person": key, **row}
        await self.lock(tx, {key for key, _, _ in (*told, *behind)})
        added = await tx.insert_new(suppression, [told[key] for key in sorted(told)])
        await tx.insert_new(suppression, [behind[key] for key in sorted(behind)])
        return added

    async def take_back(
        self, tx: Tx, keys: Iterable[str], topic: str = EVERYTHING, before: datetime | None = None
    ) -> bool:
        """These locked persons said yes: what they refused of the topic (`*`: of any) is gone; with `before` what is older.

        What followed a user id to other addresses goes with it. What bounced or was complained about stays: a yes mends no
        mailbox. False where there was nothing.
        """
        gone = delete(suppression).where(refused_by(keys), _c.reason.in_(sorted(ANSWERABLE)))
        if topic != EVERYTHING:
            gone = gone.where(_c.topic == topic)
        if before is not None:
            gone = gone.where(_c.at < before)
        return await tx.run(gone) > 0

    async def remove(self, tx: Tx, address: str) -> bool:
        """An operator vouches for the address: nothing speaks against it any more, whatever it was."""
        keys = self.keys.of(address, None)
        await self.lock(tx, keys)
        return await tx.run(delete(suppression).where(_c.person.in_(keys))) > 0


def refused_by(keys: Iterable[str]) -> ColumnElement[bool]:
    """What these persons refused, and what followed from it to other addresses; both by index."""
    theirs = sorted(keys)
    return _c.person.in_(theirs) | _c.source.in_([f"{_FOLLOWS}{key}" for key in theirs])


def following(user_key: str, refusal: Suppression) -> NewRefusal:
    """The same refusal for an address that turned up under a user id that had refused."""
    return NewRefusal(refusal.topic, refusal.reason, f"{_FOLLOWS}{user_key}", refusal.at)


class SuppressionFilter(NamedTuple):
    """Which suppressions a list shows: those that match every filter given."""

    reason: SuppressionReason | None = None
    since: datetime | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        reason = [] if self.reason is None else [_c.reason == self.reason]
        return reason if self.since is None else [*reason, _c.at >= self.since]

    def matches(self, one: Suppression) -> bool:
        """The same of one that was read."""
        return self.reason in {None, one.reason} and (self.since is None or one.at >= self.since)


async def count_suppressions(read: Read, wanted: SuppressionFilter) -> int:
    """How many match."""
    return int(await read.scalar(select(func.count()).select_from(suppression).where(*wanted.conditions)))


async def page(
    read: Read, wanted: SuppressionFilter, before: tuple[datetime, str, str, str] | None, limit: int
) -> list[Suppression]:
    """Suppressions, the latest first, those of user ids among them. `before`: time, person, topic and reason of the last one."""
    order = (_c.at, _c.person, _c.topic, _c.reason)
    found = select(suppression).where(*wanted.conditions)
    if before is not None:
        found = found.where(
            tuple_(*order) < tuple_(*(literal(value, column.type) for value, column in zip(before, order, strict=True)))
        )
    rows = await read.all(found.order_by(*(column.desc() for column in order)).limit(limit))
    return [Suppression(*tuple(row)) for row in rows]
