"""Earlier refusals: those that stand in the accounts of a database from before there were persons, written for persons once.

No message leaves before: a no of one account holds for the address in every other, whenever it was said. Which addresses had
mail before is carried over with them: they are not new to the ceiling of new addresses.
"""

from collections.abc import Collection, Iterator
from datetime import datetime

import structlog

from services.notify import store
from services.notify.core.channels import Channels
from services.notify.core.state import EVERYTHING, Account
from services.notify.persons import NewRefusal, Persons
from services.notify.store import Accounts
from shared.clock import Clock
from shared.db.protocol import Database, Read

_log = structlog.get_logger(__name__)
CARRIED = "refusals carried over"
_PAGE = 200
_SOURCE = "account"


class EarlierRefusals:
    """Carries them over, a page of accounts in a transaction; after a crash it begins again, which changes nothing."""

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
            found = [one for account in accounts.values() for one in _refusals(account, self._clock.now())]
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


def _refusals(account: Account, now: datetime) -> Iterator[tuple[str, str | None, NewRefusal]]:
    """User, address and refusal of everything that people of this account declined."""
    declined = {user: set(topics) for user, topics in account.declined_topics.items()}
    for user, contact in account.contacts.items():
        if contact.unsubscribed:
            declined.setdefault(user, set()).add(EVERYTHING)
    for user, topics in sorted(declined.items()):
        contact_of = account.contacts.get(user)
        for topic in sorted(topics):
            yield user, contact_of.email if contact_of else None, NewRefusal(topic, "unsubscribed", _SOURCE, now)
