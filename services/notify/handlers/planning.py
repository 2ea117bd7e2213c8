"""Planning: asks the core account by account what follows from messages or from time, and writes each decision once.

A decision becomes a row with the text it would be sent with, and a message to the other services.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from services.notify import store, waiting
from services.notify.core.account_view import CSM_VALUES
from services.notify.core.channels import Channels
from services.notify.core.delivery import (
    Decision,
    Verdict,
    close_task,
    encode_decision,
    forget_contact,
    note_preview,
    without_previews,
)
from services.notify.core.engine import advance
from services.notify.core.order import EMPTY, Line, Ordered, Turns, is_new, loaded_until
from services.notify.core.past_steps import in_preview
from services.notify.core.playbook import Playbook, Result
from services.notify.core.policy import PERSON_CHECKS, recheck
from services.notify.core.state import TRANSACTIONAL, Account
from services.notify.definition import Definition
from services.notify.handlers.consent import heed_never_asks
from services.notify.handlers.refusals import Decide, Decided, decided, heed_contacts, informed
from services.notify.persons import Persons
from services.notify.rendering import CSM_NAME, UNSUBSCRIBE_LINK, Rendered, RenderError
from services.notify.store import Accounts, DeliveryRecord
from services.notify.waiting import Patience
from shared.brand import answering
from shared.clock import Clock
from shared.contracts.advocacy import HistoryFollowed, NeverAskRequested, OutreachRequested
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import ContactChanged, LifecycleMessage, MailReported
from shared.contracts.outreach import DeliveryStatus, OutreachMode, OutreachRecorded, OutreachStatus
from shared.contracts.topics import LIFECYCLE, OUTREACH
from shared.db.protocol import Tx, Values
from shared.failures import Halted
from shared.ids import derived
from shared.links import Links
from shared.names import visible
from shared.service.processor import MessageBatch
from shared.service.time_slice import OutOfTime

GROUP = "notify"
UNSUBSCRIBE = "unsubscribe"
"""The purpose that unsubscribe links are signed for."""
_NOTHING = Rendered("", "", "")
_Planned = LifecycleMessage | OutreachRequested | HistoryFollowed
_PUBLISHED: dict[DeliveryStatus, OutreachStatus] = {
    "previewed": "previewed",
    "skipped": "skipped",
    "opened": "opened",
}
"""What is published when a delivery is planned: a pending one is published once it was sent."""


class MessageWriter:
    """Writes with the company's templates. `public_url` is where customers reach us, `mail_from` who mail is from."""

    def __init__(self, definition: Definition, links: Links, public_url: str, mail_from: str = "") -> None:
        self._definition = definition
        self._links = links
        self._public_url = public_url
        self._mail_from = mail_from

    def unsubscribe_url(self, delivery_id: str) -> str:
        """The link that unsubscribes the recipient. It carries the delivery's id, nobody's name or address."""
        return f"{self._public_url}/notify/u/{self._links.sign(UNSUBSCRIBE, {'delivery': delivery_id})}"

    def reply_to(self, account: Account) -> str:
        """Where an answer to a message of this account goes: its CSM, else the brand's; empty for the sender."""
        csm, email = (visible(account.view.traits.get(trait)) for trait in CSM_VALUES)
        return answering(self._definition.brand, csm or "", email or "", self._mail_from).address

    def as_planned(self, record: DeliveryRecord) -> Rendered | None:
        """A message that has not left, with what was known when it was decided on; None where its text is gone since."""
        try:
            decision, defined = record.decision, self._definition
            known = decision.template in defined.templates and decision.channel in defined.playbook.channels
            return self.render(decision) if decision.send and known else None
        except (RenderError, Halted, msgspec.DecodeError):  # of another text by now, or of a newer version
            return None

    def render(self, decision: Decision, *, with_html: bool = True) -> Rendered:
        """The message. Raises RenderError where a value it needs is unknown."""
        if not decision.send:
            return _NOTHING
        own: dict[str, Value] = {UNSUBSCRIBE_LINK: self.unsubscribe_url(decision.id)}
        csm, email = (str(decision.values.get(key, "")) for key in CSM_VALUES.values())
        if name := answering(self._definition.brand, csm, email, self._mail_from).name:
            own[CSM_NAME] = name
        values = self._definition.company | decision.values | own
        footer = _needs_footer(decision, self._definition.playbook.channels)
        return self._definition.templates.render(
            decision.template, values, subject=decision.subject, footer=footer, with_html=with_html
        )


class PlanningHandlers:
    """Applies one playbook. `default_mode` is the mode before anybody set one. Without `patience` nobody waits for advocacy."""

    def __init__(
        self,
        book: Playbook,
        writer: MessageWriter,
        accounts: Accounts,
        persons: Persons,
        clock: Clock,
        default_mode: OutreachMode = "preview",
        patience: Patience | None = None,
    ) -> None:
        self._book = book
        self._writer = writer
        self._accounts = accounts
        self._persons = persons
        self._clock = clock
        self._default_mode: OutreachMode = default_mode
        self._patience = patience or Patience(0)
        self.handled_until: dict[int, datetime] = {}
        """For each partition of `lifecycle.v1` when its latest handled message was decided."""

    async def handle(self, tx: Tx, batch: MessageBatch) -> None:
        """One batch of `lifecycle.v1` or `advocacy.v1`."""
        messages = [message for message in batch.messages if isinstance(message, _Planned)]
        never_asks = [message for message in batch.messages if isinstance(message, NeverAskRequested)]
        await self._persons.verify(tx, self._clock.now())
        ids = {message.account for message in [*messages, *never_asks]}
        stored = await self._accounts.load_or_create_for_update(tx, ids)
        stored = await heed_never_asks(tx, never_asks, stored, self._persons)
        contacts = [one for one in messages if isinstance(one, ContactChanged) and is_new(stored[one.account], one)]
        reports = [one for one in messages if isinstance(one, MailReported) and is_new(stored[one.account], one)]
        await heed_contacts(tx, self._persons, contacts, reports)
        waited = await waiting.load(tx, _loaded_until(stored, messages), stored)
        lines, texts = dict[str, Line](), self._texts(live=await self._is_live(tx))
        turns = Turns(self._book, texts.as_written, self._is_paced(messages))

        def decide(accounts: dict[str, Account]) -> Decided:
            decisions: list[Decision] = []
            lines.update({account_id: waited.get(account_id, EMPTY) for account_id in ids})
            for place, message in enumerate(messages):
                if place and batch.time_slice.is_over:
                    raise OutOfTime(place // 2)
                of = message.account
                accounts[of], lines[of], made = turns.take(accounts[of], lines[of], message)
                decisions += made
            return accounts, decisions

        await self._decide(tx, texts, stored, decide, contacts)
        await waiting.save(tx, waited, lines, self._clock.now())
        if batch.topic is LIFECYCLE:
            self.handled_until[batch.partition] = batch.messages[-1].decided_at

    async def take_waiting(self, tx: Tx, ids: Sequence[str]) -> int:
        """What waits in vain for these accounts is taken as it stands. How many there were."""
        await self._persons.verify(tx, self._clock.now())
        stored = await self._accounts.load_for_update(tx, ids)
        waited = await waiting.load(tx, dict.fromkeys(stored, waiting.EVERY), stored)
        texts = self._texts(live=await self._is_live(tx))
        turns = Turns(self._book, texts.as_written, paced=False)

        def decide(accounts: dict[str, Account]) -> Decided:
            decisions: list[Decision] = []
            for account_id, account in accounts.items():
                accounts[account_id], _, made = turns.take_all(account, waited.get(account_id, EMPTY))
                decisions += made
            return accounts, decisions

        await self._decide(tx, texts, stored, decide)
        await waiting.save(tx, waited, {}, self._clock.now())
        return len(stored)

    async def advance_time(self, tx: Tx, ids: Sequence[str], until: datetime) -> int:
        """What time alone brings to these accounts. How many there were."""
        await self._persons.verify(tx, self._clock.now())
        stored = await self._accounts.load_for_update(tx, ids)
        texts = self._texts(live=await self._is_live(tx))

        def decide(accounts: dict[str, Account]) -> Decided:
            decisions: list[Decision] = []
            for account_id, account in accounts.items():
                accounts[account_id], made = texts.as_written(*advance(account, until, self._book))
                decisions += made
            return accounts, decisions

        await self._decide(tx, texts, stored, decide)
        return len(stored)

    def _is_paced(self, messages: Iterable[Ordered]) -> bool:
        """Whether what replays a history waits for advocacy, of which any message that knows our order is a sign of life."""
        if any(
            isinstance(one, HistoryFollowed) or (isinstance(one, OutreachRequested) and one.behind) for one in messages
        ):
            self._patience.heard()
        return not self._patience.is_over

    async def _is_live(self, tx: Tx) -> bool:
        return (await store.read_mode(tx, self._default_mode)).mode == "live"

    def _texts(self, *, live: bool) -> "_Texts":
        return _Texts(self._writer, live=live)

    async def _decide(
        self,
        tx: Tx,
        texts: "_Texts",
        stored: dict[str, Account],
        decide: Decide,
        contacts: Iterable[ContactChanged] = (),
    ) -> None:
        """Decide with what is known of everybody's refusals by now, and write what came of it."""
        accounts = texts.as_of_mode(await informed(tx, self._persons, stored, contacts))
        await self._save(tx, texts, *await decided(tx, self._persons, self._book, accounts, decide))

    async def _save(self, tx: Tx, texts: "_Texts", accounts: dict[str, Account], decisions: Iterable[Decision]) -> None:
        fresh = await self._fresh(tx, decisions)
        now, rows = self._clock.now(), list[Values]()
        published: list[OutreachRecorded] = []
        put_off = await self._put_off(tx, accounts, fresh)
        for decision, rendered in (texts.of(_judged(one, put_off.get(one.id))) for one in fresh):
            account = accounts[decision.account] = _after(accounts[decision.account], decision)
            status = _first_status(decision, self._book.channels, live=texts.live)
            if status == "previewed" and not decision.history:
                account = accounts[decision.account] = note_preview(account, decision.id)
            row = new_row(decision, status, rendered, texts.address_of(decision, account), now)
            if decision.send and decision.id in put_off:
                later = put_off[decision.id]
                row |= {"reason": later.reason, "detail": later.detail, "not_before": later.until}
            rows.append(row)
            if status in _PUBLISHED:
                published.append(outreach_recorded(decision, _PUBLISHED[status], decision.at, now, decision.reason))
        await store.add(tx, rows)
        await self._accounts.save(tx, accounts.values())
        tx.emit(OUTREACH, published)

    async def _put_off(self, tx: Tx, accounts: Mapping[str, Account], fresh: Iterable[Decision]) -> dict[str, Verdict]:
        """Those for whose recipient other accounts have used up the budget: until when they wait, or that they are skipped."""
        keys: dict[str, str] = {}
        for decision in fresh:
            contact = accounts[decision.account].contacts.get(decision.user or "")
            key = self._persons.keys.of_mailbox(contact.email) if contact else None
            if (
                key
                and decision.send
                and not decision.history
                and self._book.channels[decision.channel].reaches_customer
            ):
                keys[decision.id] = key
        spent = await self._persons.spent(tx, {*keys.values()}) if keys else {}
        found: dict[str, Verdict] = {}
        for decision in fresh:
            theirs = spent.get(keys.get(decision.id, ""), [])
            if theirs:
                account = accounts[decision.account]
                found[decision.id] = recheck(account, decision, decision.at, self._book, PERSON_CHECKS, theirs)
        return {delivery: verdict for delivery, verdict in found.items() if verdict.action != "send"}

    async def _fresh(self, tx: Tx, decisions: Iterable[Decision]) -> list[Decision]:
        """Those that are not stored yet. Their accounts are locked: nobody else plans them now."""
        by_id = {decision.id: decision for decision in decisions}
        existing = await store.existing(tx, by_id.keys()) if by_id else set()
        return [decision for delivery_id, decision in by_id.items() if delivery_id not in existing]


class _Texts:
    """What the decisions of one transaction say. A decision is written as soon as it is made, and once."""

    def __init__(self, writer: MessageWriter, *, live: bool) -> None:
        self.live = live
        self._writer = writer
        self._written: dict[str, tuple[Decision, Decision, Rendered]] = {}
        self._addresses: dict[str, str | None] = {}

    def as_written(self, account: Account, decisions: list[Decision]) -> Result:
        """The decisions as they stand when they are written: one that cannot be is not sent, and costs nothing."""
        written: list[Decision] = []
        for decision in decisions:
            self._addresses.setdefault(decision.id, _address(account, decision))
            after, _ = self.of(decision)
            if decision.send and not after.send:
                account = _after(account, after)
            written.append(after)
        return account, written

    def of(self, decision: Decision) -> tuple[Decision, Rendered]:
        """The decision, as it stands, and its text."""
        known = self._written.get(decision.id)
        if known is None or decision not in known[:2]:
            known = self._written[decision.id] = (decision, *self._write(decision))
        return known[1:]

    def address_of(self, decision: Decision, account: Account) -> str | None:
        """The recipient's address as it was when this was decided: a message later in the batch may have taken the person away."""
        return self._addresses.get(decision.id, _address(account, decision))

    def as_of_mode(self, accounts: dict[str, Account]) -> dict[str, Account]:
        """The accounts, without what was only shown of them where outreach is live by now."""
        return {name: without_previews(one) for name, one in accounts.items()} if self.live else accounts

    def _write(self, decision: Decision) -> tuple[Decision, Rendered]:
        if not self.live and decision.values:
            decision = replace(decision, values=in_preview(decision.values))
        try:  # the page is written when it leaves, or is looked at: it is four times the size of all the rest of a row
            return decision, self._writer.render(decision, with_html=False)
        except RenderError as error:
            failed = replace(decision, send=False, reason="unwritable", detail=str(error))
            return failed, self._writer.render(failed)


def _address(account: Account, decision: Decision) -> str | None:
    contact = account.contacts.get(decision.user or "")
    return contact.email if contact else None


def _loaded_until(accounts: Mapping[str, Account], messages: Iterable[Ordered]) -> dict[str, int]:
    """The accounts of which something that waits may be taken with these messages, and up to which sequence number."""
    until: dict[str, int] = {}
    for message in messages:
        seq = loaded_until(accounts[message.account], message)
        if seq > until.get(message.account, 0):
            until[message.account] = seq
    return until


def _judged(decision: Decision, verdict: Verdict | None) -> Decision:
    """The decision after the recipient was asked for over all accounts."""
    if verdict is None or verdict.action != "skip":
        return decision
    return replace(decision, send=False, reason=verdict.reason, detail=verdict.detail, values={})


def _after(account: Account, decision: Decision) -> Account:
    """What is not sent after all costs nothing."""
    if decision.send:
        return account
    return close_task(forget_contact(account, decision.id), decision.id)


def _first_status(decision: Decision, channels: Channels, *, live: bool) -> DeliveryStatus:
    """Where a delivery begins. A task leaves nowhere, so it is opened in either mode."""
    if not decision.send:
        return "skipped"
    if decision.history:
        return "previewed"
    if channels[decision.channel].opens_task:
        return "opened"
    return "pending" if live else "previewed"


def new_row(
    decision: Decision, status: DeliveryStatus, rendered: Rendered, address: str | None, now: datetime
) -> dict[str, Any]:
    """A new row of the outbox. `address` is the recipient's."""
    return {
        "id": decision.id,
        "account": decision.account,
        "user": decision.user,
        "address": address,
        "play": decision.play,
        "step": decision.step,
        "channel": decision.channel,
        "outreach_class": decision.outreach_class,
        "topic": decision.topic,
        "status": status,
        "reason": decision.reason,
        "detail": decision.detail,
        "at": decision.at,
        "planned_at": now,
        "not_before": decision.at,
        "expires_at": decision.expires_at,
        "history": decision.history,
        **rendered._asdict(),
        "decision": encode_decision(decision),
        "attempt": 0,
        "lease_epoch": 0,
        "lease_until": None,
        "stage": "",
        "maybe_delivered": False,
        "provider_ref": "",
        "sent_at": None,
        "done_at": None,
        "person": None,
    }


def outreach_recorded(
    decision: Decision, status: OutreachStatus, at: datetime, now: datetime, reason: str = ""
) -> OutreachRecorded:
    """The message to the other services."""
    return OutreachRecorded(
        id=derived("outreach", decision.id, status),
        account=decision.account,
        at=at,
        decided_at=now,
        history=decision.history,
        delivery=decision.id,
        play=decision.play,
        step=decision.step,
        channel=decision.channel,
        outreach_class=decision.outreach_class,
        status=status,
        user=decision.user,
        reason=reason or None,
        occurrence=decision.occurrence,
    )


def _needs_footer(decision: Decision, channels: Channels) -> bool:
    return channels[decision.channel].needs_footer(decision.outreach_class == TRANSACTIONAL)
