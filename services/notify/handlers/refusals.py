"""Refusals that reach an account: what identify calls say, and what the person behind an address refused elsewhere or earlier.

A no is written for the address and for the user id, over all accounts. It comes along when the user id turns up with
another address. Only a source we trust takes it back, in so many words: a call that merely does not mention it never does.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import structlog

from services.notify import store
from services.notify.core.channels import Channels
from services.notify.core.delivery import Decision
from services.notify.core.playbook import Playbook
from services.notify.core.state import ANSWERABLE, EVERYTHING, Account, with_refusals
from services.notify.persons import NewRefusal, Persons, Suppression, following
from services.notify.store import Accounts
from shared.clock import Clock
from shared.contracts.lifecycle import ContactChanged, MailReported
from shared.db.protocol import Database, Read, Tx

_IDENTIFY = "identify"
_EVENT = "event"
_MAX_TOLD = 200
_ROUNDS = 8
"""Recipients that one turn may find to have refused; what is left is found when it is claimed."""

Decided = tuple[dict[str, Account], list[Decision]]
Decide = Callable[[dict[str, Account]], Decided]
_log = structlog.get_logger(__name__)
CARRIED = "refusals carried over"
_PAGE = 200
_EARLIER = "account"


class _Recipient(NamedTuple):
    account: str
    user: str
    address: str | None


async def heed_contacts(
    tx: Tx, persons: Persons, changes: Iterable[ContactChanged], reports: Iterable[MailReported] = ()
) -> None:
    """Write down what these messages say of consent, and let refusals of a user id follow it to a new address."""
    known = list(changes)
    reported = [
        (one, dict.fromkeys(persons.refusing(one.address, one.user, one.reason), one.address)) for one in reports
    ]
    keys = {key for change in known for key in persons.keys.of(change.email, change.user)}
    keys |= {key for _, theirs in reported for key in theirs}
    if not keys:
        return
    told = any(change.unsubscribed or change.resubscribed for change in known)
    found = _by_person(await persons.suppressions(tx, keys))
    if not told and not found and not reported:
        return
    await persons.lock(tx, keys)
    for report, addresses in reported:
        await persons.add(
            tx, addresses, NewRefusal(EVERYTHING, report.reason, _EVENT, report.at, report.told[:_MAX_TOLD])
        )
    for change in known:
        if change.resubscribed:
            await persons.take_back(tx, persons.keys.of(change.email, change.user), before=change.at)
        elif change.unsubscribed:
            refusal = NewRefusal(EVERYTHING, "unsubscribed", _IDENTIFY, change.at)
            await persons.add(tx, dict.fromkeys(persons.keys.of(change.email, change.user), change.email), refusal)
            user = persons.keys.of_user(change.user)
            found.setdefault(user, []).append(Suppression(user, address=change.email, **refusal._asdict()))
        await _follow(tx, persons, change, found)


async def _follow(tx: Tx, persons: Persons, change: ContactChanged, found: Mapping[str, list[Suppression]]) -> None:
    user, address = persons.keys.of_user(change.user), dict.fromkeys(persons.keys.of(change.email, None), change.email)
    if not address or change.resubscribed:
        return
    for refusal in found.get(user, ()):
        if refusal.reason in ANSWERABLE:
            await persons.add(tx, address, following(user, refusal))


async def informed(
    read: Read, persons: Persons, accounts: Mapping[str, Account], changes: Iterable[ContactChanged] = ()
) -> dict[str, Account]:
    """The accounts with what their people refused elsewhere: those who are new, and those known to have refused.

    What an import drives is told nothing of it (`core/state.py`, `refused_elsewhere`).
    """
    live = {account_id: account for account_id, account in accounts.items() if not account.replaying}
    recipients = {
        _Recipient(change.account, change.user, change.email)
        for change in changes
        if change.account in live and not change.history
    }
    for account in live.values():
        recipients |= {_recipient(account, user) for user in account.refused_elsewhere}
    return await _informed(read, persons, accounts, recipients)


async def decided(
    read: Read, persons: Persons, book: Playbook, accounts: dict[str, Account], decide: Decide
) -> Decided:
    """What follows, with everybody who is to be written to asked for refusals elsewhere; where there are, it is decided anew."""
    for _ in range(_ROUNDS):
        after, decisions = decide(dict(accounts))
        recipients = {
            _recipient(after[decision.account], decision.user)
            for decision in decisions
            if decision.send
            and not decision.history
            and decision.user is not None
            and book.channels[decision.channel].reaches_customer
        }
        known = await _informed(read, persons, accounts, recipients)
        if known == accounts:
            break
        accounts = known
    return after, decisions


async def _informed(
    read: Read, persons: Persons, accounts: Mapping[str, Account], recipients: Iterable[_Recipient]
) -> dict[str, Account]:
    keys = {one: persons.keys.of(one.address, one.user) for one in recipients}
    if not keys:
        return dict(accounts)
    found = await persons.refusals(read, {key for theirs in keys.values() for key in theirs})
    known = dict(accounts)
    for one, theirs in sorted(keys.items(), key=lambda item: item[0][:2]):
        refusals = {refusal for key in theirs for refusal in found.get(key, ())}
        known[one.account] = with_refusals(known[one.account], {one.user: refusals})
    return known


def _recipient(account: Account, user: str) -> _Recipient:
    contact = account.contacts.get(user)
    return _Recipient(account.id, user, contact.email if contact else None)


def _by_person(found: Iterable[Suppression]) -> dict[str, list[Suppression]]:
    theirs: dict[str, list[Suppression]] = {}
    for one in found:
        theirs.setdefault(one.person, []).append(one)
    return theirs


class EarlierRefusals:
    """Those that stand in the accounts of a database from before there were persons, written for persons once.

    No message leaves before: a no of one account holds for the address in every other, whenever it was said. Which addresses
    had mail before is carried over with them: they are not new to the ceiling of new addresses. A page of accounts in a
    transaction; after a crash it begins again, which changes nothing.
    """

    def __init__(
        self, accounts: Accounts, persons: Persons, channels: Channels, database: Database, clock: Clock
    ) -> None:
        self._accounts = accounts
        self._mail = [name for name, traits in channels.items() if traits.needs_address]
        self._persons = persons
        self._database = database
        self._clock = clock
        self._done = False

    async def carry(self) -> None:
        """Return when all of them are written, by this process or by another."""
        if self._done:
            return
        async with self._database.snapshot() as read:
            self._done = await store.marked(read, CARRIED) is not None
        after, found = "", 0
        while not self._done:
            after, written = await self._page(after)
            found += written
            if not after:
                await self._finish(found)

    async def _page(self, after: str) -> tuple[str, int]:
        """Those of the next accounts: the last account's id, empty behind the last page, and how many were written."""
        async with self._database.transaction() as tx:
            await self._persons.verify(tx, self._clock.now())
            ids = await store.account_ids(tx, after, _PAGE)
            accounts = await self._accounts.load_for_update(tx, ids)
            found = [one for account in accounts.values() for one in _standing_refusals(account, self._clock.now())]
            keys = {key for user, address, _ in found for key in self._persons.keys.of(address, user)}
            mailed = await self._mailed(tx, ids)
            await self._persons.lock(tx, keys | mailed.keys())
            await self._persons.save_first_mailed(tx, mailed)
            for user, address, refusal in found:
                await self._persons.add(tx, dict.fromkeys(self._persons.keys.of(address, user), address), refusal)
        return ids[-1] if ids else "", len(found)

    async def _mailed(self, read: Read, ids: Collection[str]) -> dict[str, datetime]:
        """Persons that these accounts' mail went to, and when it first did."""
        first: dict[str, datetime] = {}
        for address, at in await store.first_sent(read, ids, self._mail):
            if key := self._persons.keys.of_mailbox(address):
                first[key] = min(at, first.get(key, at))
        return first

    async def _finish(self, found: int) -> None:
        async with self._database.transaction() as tx:
            await store.mark(tx, CARRIED, str(found), self._clock.now())
        self._done = True
        if found:
            _log.info("refusals_carried_over", refusals=found)


def _standing_refusals(account: Account, now: datetime) -> Iterator[tuple[str, str | None, NewRefusal]]:
    """User, address and refusal of everything that people of this account declined."""
    declined = {user: set(topics) for user, topics in account.declined_topics.items()}
    for user, contact in account.contacts.items():
        if contact.unsubscribed:
            declined.setdefault(user, set()).add(EVERYTHING)
    for user, topics in sorted(declined.items()):
        contact_of = account.contacts.get(user)
        for topic in sorted(topics):
            yield user, contact_of.email if contact_of else None, NewRefusal(topic, "unsubscribed", _EARLIER, now)
