"""Consent handlers: what a person declined or came back to is recorded at once, once, and published.

It holds for the address and for the user id, in every account. The link in our mail proves that its holder reads the address
the mail went to: a no through it is always taken; a yes only while that is the address we write to.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from services.notify import store
from services.notify.core.person import normalised_address
from services.notify.core.state import ANSWERABLE, EVERYTHING, Account, SuppressionReason, apply_consent
from services.notify.persons import NewRefusal, Persons
from services.notify.store import Accounts, DeliveryRecord, save_consent
from shared.contracts.advocacy import NeverAskRequested
from shared.contracts.outreach import ConsentChanged, OutreachClass
from shared.contracts.topics import OUTREACH
from shared.db.protocol import Read, Tx
from shared.failures import Refused
from shared.ids import derived

ADVOCACY = "advocacy"
"""The source of what people said on advocacy's pages."""


class ConsentGiven(NamedTuple):
    """Consent to a topic given or refused (`*` is everything), and how it reached us."""

    account: str
    user: str
    topic: str
    granted: bool
    source: str


async def record_consent(
    tx: Tx, given: ConsentGiven, accounts: Accounts, persons: Persons, now: datetime, address: str | None = None
) -> bool:
    """Record it; False when it changes nothing. Raises Refused for an unknown account.

    `address` is where the person got our mail, where that is known; the address they have now counts too.
    """
    await persons.verify(tx, now)
    account = (await accounts.load_for_update(tx, {given.account})).get(given.account)
    if account is None:
        raise Refused(f"no account '{given.account}' has been seen", "no_account", 404)
    after, changed = await _recorded(tx, given, account, persons, now, address)
    if changed:
        await accounts.save(tx, [after])
    return changed


async def heed_never_asks(
    tx: Tx, messages: Iterable[NeverAskRequested], accounts: dict[str, Account], persons: Persons
) -> dict[str, Account]:
    """The locked accounts after what people told advocacy: who is to be asked no more hears of no play of that class."""
    after = dict(accounts)
    for message in messages:
        given = ConsentGiven(message.account, message.user, message.outreach_class, granted=False, source=ADVOCACY)
        after[message.account], _ = await _recorded(tx, given, after[message.account], persons, message.decided_at)
    return after


async def _recorded(
    tx: Tx, given: ConsentGiven, account: Account, persons: Persons, now: datetime, address: str | None = None
) -> tuple[Account, bool]:
    """The locked account after it, to be saved, and whether anything is new; persons and lists have it then."""
    contact = account.contacts.get(given.user)
    addresses = {address, contact.email if contact else None}
    change = _change(given, now)
    after = apply_consent(account, change)
    moved = await _tell_persons(tx, given, addresses, persons, now)
    if after == account and not moved:
        return account, False
    await save_consent(tx, change, given.source)
    tx.emit(OUTREACH, [change])
    return after, True


class Subscription(NamedTuple):
    """What the recipient of a delivery gets from us, as the page behind its link shows it.

    `everything` and `kind` are refused: all mail, and mail like the delivery's. `dead` is why nothing goes to the address that
    the person cannot take back. `moved`: we write to another address by now.
    """

    topic: str
    outreach_class: OutreachClass
    everything: bool
    kind: bool
    dead: SuppressionReason | None
    moved: bool

    @property
    def can_return(self) -> bool:
        """Whether a yes through this link would bring anything back."""
        return (self.everything or self.kind) and self.dead is None and not self.moved


async def subscription(read: Read, delivery_id: str, accounts: Accounts, persons: Persons) -> Subscription | None:
    """How things stand for the recipient of this delivery; None when no such delivery went to anybody."""
    record = await store.load(read, delivery_id)
    if record is None or record.user is None:
        return None
    return await _subscription(read, record, record.user, await accounts.load(read, record.account), persons)


async def unsubscribe(
    tx: Tx, delivery_id: str, accounts: Accounts, persons: Persons, now: datetime, *, everything: bool
) -> bool:
    """The recipient of this delivery unsubscribes; False when no such delivery went to anybody."""
    record = await store.load(tx, delivery_id)
    if record is None or record.user is None:
        return False
    topic = EVERYTHING if everything or not record.topic else record.topic
    await record_consent(
        tx, _by_link(record, record.user, topic, granted=False), accounts, persons, now, record.address
    )
    return True


async def resubscribe(
    tx: Tx, delivery_id: str, accounts: Accounts, persons: Persons, now: datetime, *, everything: bool
) -> Subscription | None:
    """The recipient of this delivery comes back, if the link can bring them back: how things stand after it.

    None when no such delivery went to anybody.
    """
    record = await store.load(tx, delivery_id)
    if record is None or record.user is None:
        return None
    account = (await accounts.load_for_update(tx, {record.account})).get(record.account)
    before = await _subscription(tx, record, record.user, account, persons)
    if not before.can_return or (before.everything and not everything):
        return before
    for topic in [EVERYTHING] if everything else sorted({record.topic, record.outreach_class}):
        given = _by_link(record, record.user, topic, granted=True)
        await record_consent(tx, given, accounts, persons, now, record.address)
    return await subscription(tx, delivery_id, accounts, persons)


async def _subscription(
    read: Read, record: DeliveryRecord, user: str, account: Account | None, persons: Persons
) -> Subscription:
    contact = account.contacts.get(user) if account else None
    address = contact.email if contact else None
    refused = set(account.declined_topics.get(user, ())) if account else set()
    if contact and contact.unsubscribed:
        refused.add(EVERYTHING)
    dead: SuppressionReason | None = None
    for one in await persons.suppressions(read, persons.keys.of(record.address, user)):
        if one.reason in ANSWERABLE:
            refused.add(one.topic)
        else:
            dead = one.reason
    return Subscription(
        topic=record.topic,
        outreach_class=record.outreach_class,
        everything=EVERYTHING in refused,
        kind=not refused.isdisjoint({record.topic, record.outreach_class}),
        dead=dead,
        moved=normalised_address(address) != normalised_address(record.address),
    )


def _by_link(record: DeliveryRecord, user: str, topic: str, *, granted: bool) -> ConsentGiven:
    return ConsentGiven(record.account, user, topic, granted, source="link")


async def _tell_persons(
    tx: Tx, given: ConsentGiven, addresses: set[str | None], persons: Persons, now: datetime
) -> bool:
    """Write it for every key of the person, all locked at once; whether anything was new."""
    keys: dict[str, str | None] = {
        key: address for address in sorted(filter(None, addresses)) for key in persons.keys.of(address, None)
    }
    keys[persons.keys.of_user(given.user)] = None
    await persons.lock(tx, keys)
    if not given.granted:
        return await persons.add(tx, keys, NewRefusal(given.topic, "unsubscribed", given.source, now))
    return await persons.take_back(tx, keys, given.topic)


def _change(given: ConsentGiven, now: datetime) -> ConsentChanged:
    return ConsentChanged(
        id=derived("consent", given.account, given.user, given.topic, given.granted, now.isoformat()),
        account=given.account,
        at=now,
        decided_at=now,
        user=given.user,
        topic=given.topic,
        granted=given.granted,
    )
