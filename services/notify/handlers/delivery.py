"""Deliveries on their way, each step a transaction: claimed by one sender, confirmed at the point of no return, settled.

pending -> sending (claimed, then data_sent) -> sent, failed, unknown; or back to pending for a retry. An operator lets a
previewed delivery go, and completes a task. `core/delivery.py` has the machine.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from msgspec.structs import replace

from services.notify import store
from services.notify.core.account_view import values_when_leaving
from services.notify.core.budget import still_counting
from services.notify.core.channels import NOBODYS_ENDINGS, AttemptOutcome, is_nobodys
from services.notify.core.delivery import (
    Decision,
    Verdict,
    close_task,
    crash_outcome,
    forget_contact,
    record_contact,
    settlement,
    without_previews,
)
from services.notify.core.past_steps import with_outcome, with_task_done
from services.notify.core.person import spend, unspend
from services.notify.core.playbook import Playbook
from services.notify.core.policy import CONFIRM_CHECKS, recheck
from services.notify.core.state import EVERYTHING, Account, BudgetEntry, with_refusals
from services.notify.handlers.planning import MessageWriter, outreach_recorded
from services.notify.persons import NewRefusal, Persons
from services.notify.rendering import Rendered, RenderError
from services.notify.sending_limits import APPROVAL_LOOK_AGAIN, AWAITS_APPROVAL, HELD_BY_CEILING, Ceilings, FirstSends
from services.notify.store import Accounts, DeliveryRecord, DeliverySummary
from shared.contracts.outreach import OutreachMode
from shared.contracts.topics import OUTREACH
from shared.db.protocol import Read, Tx
from shared.failures import Refused

LEASE = timedelta(minutes=5)
RETRY_AFTER = tuple(timedelta(minutes=m) for m in (1, 5, 30, 120))
"""The wait after each attempt that reached nobody; the last goes on, as long as the message may be sent."""
MAX_ATTEMPTS = 100
"""Some eight days: then a message that expires later than that has failed."""
AT_ONCE = 4
"""How many conversations may be in doubt after a crash."""
RELEASED, REDRIVEN = "released", "redriven"
MAX_REDRIVEN = 10_000
"""How many failed deliveries one request sends again."""
AT_ONCE_BY_HAND = 500
"""How many one transaction releases or sends again: while it runs, SQLite's writers and the senders of these rows wait."""
_UNCONFIGURED = timedelta(minutes=5)
_PUT_ASIDE = timedelta(minutes=5)
_MAX_DETAIL = 200


class Claim(NamedTuple):
    """A delivery that is ours to send now, its recipient, and where their answer goes: empty for the sender."""

    record: DeliveryRecord
    email: str | None
    name: str
    reply_to: str = ""


class DeliveryHandlers:
    """Moves deliveries of one playbook. `missing` says, for each channel that is not set up, what to set.

    `lease` is how long a delivery stays with a sender that does not come back. `not_ready` is why this installation must not
    write to customers although it is live: only what goes to addresses that are nobody's is claimed then. After `first_sends`
    messages the rest wait for an approval.
    """

    def __init__(
        self,
        book: Playbook,
        writer: MessageWriter,
        accounts: Accounts,
        persons: Persons,
        default_mode: OutreachMode,
        missing: Mapping[str, str],
        lease: timedelta = LEASE,
        *,
        not_ready: str = "",
        first_sends: int = 0,
    ) -> None:
        self._book = book
        self._writer = writer
        self._accounts = accounts
        self._persons = persons
        self._default_mode: OutreachMode = default_mode
        self._missing = missing
        self._lease = lease
        self._ceilings = Ceilings(book.budget.ceilings)
        self._not_ready = not_ready
        self._first_sends = FirstSends(first_sends, book.channels)

    @staticmethod
    async def stranded(read: Read, now: datetime) -> list[str]:
        """The deliveries to recover: their sender did not come back in time."""
        return await store.stranded(read, now, AT_ONCE)

    async def due(self, read: Read, now: datetime, room: Mapping[str, int] | None = None) -> list[str]:
        """The deliveries to claim now. In preview there are none, and only a trial's while this installation is not ready to be live.

        `room` names the channels of which less than usual is to be tried, and how much.
        """
        if not await self._is_live(read):
            return []
        less = {channel: most for channel, most in (room or {}).items() if most < AT_ONCE}
        ending = NOBODYS_ENDINGS if self._not_ready else ()
        due = await store.due(read, now, AT_ONCE, without=less.keys(), ending=ending)
        for channel, most in sorted(less.items()):
            due += await store.due(read, now, most, of=channel, ending=ending) if most else []
        return due

    async def resume(self, tx: Tx, channel: str, now: datetime) -> None:
        """The channel answers again: whatever waits for another attempt on it is due now."""
        await store.retry_now(tx, channel, now)

    async def claim(self, tx: Tx, delivery_id: str, now: datetime) -> Claim | None:
        """The delivery with a lease on it, unless something speaks against sending it now: then that is recorded.

        Everything is asked again, and the text is written of what is known now; a repeat of what may have arrived says the
        same as before. The mode is read once more: nothing is claimed after somebody has set preview, however late its turn comes.
        """
        if not await self._is_live(tx):
            return None
        await self._persons.verify(tx, now)
        claimable = await self._claimable(tx, delivery_id, now)
        if claimable is None:
            return None
        record, account, address = claimable
        decision = record.decision
        person = self._persons.keys.of_mailbox(address)
        account, spent = await self._recipient(tx, account, record, address)
        verdict = recheck(without_previews(account), decision, now, self._book, spent=spent.get(person or "", ()))
        if verdict.action == "skip":
            verdict = _as_tried(record, verdict)
            await self._skip(tx, record, decision, account, verdict, now)
            return None
        verdict = await self._held_back(tx, record, person, verdict, now)
        if verdict.action == "defer":
            verdict = _as_tried(record, verdict)
            await self._put_off(tx, record, verdict.reason or "not_configured", verdict.detail, verdict.until or now)
            return None
        written = self._text(record, account, now)
        if isinstance(written, RenderError):
            await self._skip(tx, record, decision, account, Verdict("skip", "unwritable", str(written)), now)
            return None
        account = record_contact(
            account, decision, now, self._book.channels
        )  # those claimed after it, also from another account of the person, see that it goes out
        await self._accounts.save(tx, [account])
        if record.person not in {None, person} and not record.maybe_delivered:
            await self._save_spent(tx, record.person, unspend(spent.get(record.person or "", ()), record.id), now)
        await self._save_spent(tx, person, self._with_contact(spent.get(person or "", ()), decision, now), now)
        return await self._lease_to_sender(tx, record, account, person, written, now)

    async def _claimable(
        self, tx: Tx, delivery_id: str, now: datetime
    ) -> tuple[DeliveryRecord, Account, str | None] | None:
        """The delivery, its account and the address it goes to now, all locked; None where it is not to be claimed."""
        record = await store.load_for_update(tx, delivery_id, skip_locked=True)
        if record is None or record.status != "pending" or record.not_before > now:
            return None
        account = await self._account(tx, record.account)
        contact = account.contacts.get(record.user or "")
        address = contact.email if contact and self._reaches_customer(record.channel) else None
        return None if self._not_ready and not is_nobodys(address) else (record, account, address)

    async def confirm_send(self, tx: Tx, record: DeliveryRecord, now: datetime) -> bool:
        """Whether it may go out: still ours, in time, and nothing has made it wrong since it was claimed.

        True is the point of no return: from its commit on it may have arrived, and counts as a contact of now. The account and
        the person stay locked until then, so that a refusal is recorded before it and heeded, or after it. A sender that comes too
        late leaves it to the recovery: what was judged at the claim may no longer hold.
        """
        fresh = await store.load_for_update(tx, record.id)
        if fresh is None or (fresh.status, fresh.lease_epoch) != (record.status, record.lease_epoch):
            return False
        if fresh.lease_until is None or fresh.lease_until <= now:
            return False
        decision, account = record.decision, await self._account(tx, record.account)
        account, spent = await self._recipient(tx, account, record, record.address)
        verdict = recheck(account, decision, now, self._book, CONFIRM_CHECKS)
        if verdict.action == "skip":
            await self._skip(tx, record, decision, account, verdict, now)
            return False
        verdict = await self._counted(tx, record, verdict, now)
        if verdict.action == "defer":
            await self._unclaim(tx, record, verdict.reason, verdict.detail, verdict.until or now)
            return False
        await self._accounts.save(tx, [record_contact(account, decision, now, self._book.channels)])
        theirs = spent.get(record.person or "", ())
        await self._save_spent(tx, record.person, self._with_contact(theirs, decision, now), now)
        await store.change(tx, record, "sending", stage="data_sent")
        return True

    async def record_outcome(
        self,
        tx: Tx,
        record: DeliveryRecord,
        outcome: AttemptOutcome,
        now: datetime,
        detail: str,
        provider_ref: str = "",
    ) -> bool:
        """Record how the attempt ended; False when the delivery is not ours any more."""
        end = settlement(outcome)
        maybe = record.maybe_delivered or end.maybe_delivered
        values: dict[str, Any] = {"detail": detail, "lease_until": None}
        if end.retried and record.attempt < MAX_ATTEMPTS:
            not_before = now + RETRY_AFTER[min(record.attempt, len(RETRY_AFTER)) - 1]
            values |= {"reason": store.TRY_AGAIN, "not_before": not_before, "maybe_delivered": maybe}
            if not await store.change(tx, record, "pending", **values):
                return False
            if end.maybe_delivered:
                await self._count_contact(tx, record, now)
            return True
        sent_at = now if end.status == "sent" else None
        values |= {"reason": end.reason, "provider_ref": provider_ref, "sent_at": sent_at}
        if not await store.change(tx, record, end.status, **values):
            return False
        if end.status in {"sent", "unknown"} or end.maybe_delivered:
            await self._count_contact(tx, record, now)
        elif not maybe:
            await self._forget_contact(tx, record, await self._account(tx, record.account), now)
        left = end.status in {"sent", "opened"}
        await self._note_outcome(tx, record, now, "" if left else end.reason or end.status)
        if outcome == "bounced" and record.address:
            refusal = NewRefusal(EVERYTHING, "bounced", record.channel, now, detail)
            await self._persons.suppress(tx, record.address, None, refusal)
        decision = record.decision
        tx.emit(OUTREACH, [outreach_recorded(decision, end.status, now, now, end.reason)])
        return True

    async def recover(self, tx: Tx, delivery_id: str, now: datetime) -> bool:
        """Settle an attempt whose sender did not come back; False where it did."""
        record = await store.load_for_update(tx, delivery_id, skip_locked=True)
        if record is None or record.status != "sending" or record.lease_until is None or record.lease_until > now:
            return False
        return await self._settle_lost(tx, record, now, f"the sender was lost after '{record.stage}'")

    async def attempt_failed(self, tx: Tx, record: DeliveryRecord, now: datetime, error: Exception) -> None:
        """Settle an attempt of ours that ended in an error of the channel, as if its sender had been lost there."""
        fresh = await store.load_for_update(tx, record.id)
        if fresh is not None and (fresh.status, fresh.lease_epoch) == (record.status, record.lease_epoch):
            await self._settle_lost(tx, fresh, now, repr(error)[:_MAX_DETAIL])

    async def put_aside(self, tx: Tx, delivery_id: str, now: datetime, error: Exception) -> None:
        """Leave a delivery that cannot be handled for a while, so that the others go on."""
        await store.put_aside(tx, delivery_id, now + _PUT_ASIDE, repr(error)[:_MAX_DETAIL])

    async def _settle_lost(self, tx: Tx, record: DeliveryRecord, now: datetime, detail: str) -> bool:
        outcome = crash_outcome(self._book.channels, record.channel, record.stage or "claimed")
        return await self.record_outcome(tx, record, outcome, now, detail, record.provider_ref)

    async def _lease_to_sender(
        self,
        tx: Tx,
        record: DeliveryRecord,
        account: Account,
        person: str | None,
        written: Rendered | None,
        now: datetime,
    ) -> Claim | None:
        contact = account.contacts.get(record.user or "")
        email, name = (contact.email, contact.name or "") if contact else (None, "")
        values = {"stage": "claimed", "lease_until": now + self._lease, "address": email, "reason": "", "detail": ""}
        counted = {"attempt": record.attempt + 1, "lease_epoch": record.lease_epoch + 1, "person": person}
        text = written._asdict() if written else {}
        await store.change(tx, record, "sending", **values, **counted, **text)
        fresh = await store.load(tx, record.id)
        return None if fresh is None else Claim(fresh, email, name, self._writer.reply_to(account))

    def _text(self, record: DeliveryRecord, account: Account, now: datetime) -> Rendered | RenderError | None:
        """The message as it is true now, or why it cannot be written; None for one that says what it said before."""
        if record.maybe_delivered:
            return None
        decision = record.decision
        customer = self._reaches_customer(record.channel)
        values = values_when_leaving(
            account, record.user, decision.values, now, self._book.counting, to_customer=customer
        )
        play = self._book.plays.get(decision.play)
        step = play.step(decision.step) if play else None
        fresh = replace(decision, values=values)
        if step is not None:  # its play may have been given another text since
            fresh = replace(fresh, template=step.template, subject=step.subject)
        try:
            return self._writer.render(fresh)
        except RenderError as error:
            return error

    async def _skip(
        self,
        tx: Tx,
        record: DeliveryRecord,
        decision: Decision,
        account: Account,
        verdict: Verdict,
        now: datetime,
    ) -> None:
        """Decided against after all. What may have arrived stays counted from its claim."""
        values = {"reason": verdict.reason, "detail": verdict.detail, "lease_until": None}
        await store.change(tx, record, "skipped", **values)
        if record.maybe_delivered:
            await self._accounts.save(tx, [account])
        else:
            await self._forget_contact(tx, record, account, now)
        await self._note_outcome(tx, record, now, verdict.reason)
        tx.emit(OUTREACH, [outreach_recorded(decision, "skipped", now, now, verdict.reason)])

    async def _held_back(
        self, tx: Tx, record: DeliveryRecord, person: str | None, verdict: Verdict, now: datetime
    ) -> Verdict:
        """The verdict, or what holds everything of this channel back: that it is not set up, the first sends, a ceiling."""
        if record.channel in self._missing or record.channel not in self._book.channels:
            problem = self._missing.get(record.channel, f"this version of Waymark has no channel '{record.channel}'")
            return Verdict("defer", detail=problem, until=now + _UNCONFIGURED)
        if verdict.action != "send" or not self._reaches_customer(record.channel):
            return verdict
        if waits := await self._first_sends.objection(tx):
            return Verdict("defer", AWAITS_APPROVAL, waits, now + APPROVAL_LOOK_AGAIN)
        reached = await self._ceilings.closed(tx, self._mailed_person(record.channel, person), now)
        return Verdict("defer", HELD_BY_CEILING, reached.ceiling, reached.until) if reached else verdict

    async def _counted(self, tx: Tx, record: DeliveryRecord, verdict: Verdict, now: datetime) -> Verdict:
        """The verdict with the message counted among those that leave, or what others have used up since it was claimed."""
        if verdict.action != "send" or not self._reaches_customer(record.channel):
            return verdict
        if waits := await self._first_sends.locked_objection(tx, now):
            return Verdict("defer", AWAITS_APPROVAL, waits, now + APPROVAL_LOOK_AGAIN)
        reached = await self._ceilings.count(tx, self._mailed_person(record.channel, record.person), now)
        return Verdict("defer", HELD_BY_CEILING, reached.ceiling, reached.until) if reached else verdict

    @staticmethod
    async def _put_off(
        tx: Tx, record: DeliveryRecord, reason: str, detail: str, until: datetime, **values: Any
    ) -> None:
        await store.change(tx, record, "pending", reason=reason, detail=detail, not_before=until, **values)

    async def _unclaim(self, tx: Tx, record: DeliveryRecord, reason: str, detail: str, until: datetime) -> None:
        """Back to waiting, as if it had not been claimed: nothing spoke against it when it was."""
        await self._put_off(tx, record, reason, detail, until, lease_until=None, attempt=record.attempt - 1)

    async def _count_contact(self, tx: Tx, record: DeliveryRecord, now: datetime) -> None:
        """What may have arrived counts from now, however long the conversation took."""
        account = await self._account(tx, record.account)
        await self._accounts.save(tx, [record_contact(account, record.decision, now, self._book.channels)])
        if record.person is not None:
            spent = await self._persons.lock(tx, [record.person])
            await self._save_spent(
                tx, record.person, self._with_contact(spent[record.person], record.decision, now), now
            )

    async def _note_outcome(self, tx: Tx, record: DeliveryRecord, now: datetime, unsent: str = "") -> None:
        """What became of it, at its run: a later task of the run says so."""
        account = await self._account(tx, record.account)
        after = with_outcome(account, record.decision, now, unsent)
        if after is not account:
            await self._accounts.save(tx, [after])

    async def _forget_contact(self, tx: Tx, record: DeliveryRecord, account: Account, now: datetime) -> None:
        """It never went out: it costs neither the account nor the person anything."""
        await self._accounts.save(tx, [forget_contact(account, record.id)])
        if record.person is not None:
            spent = await self._persons.lock(tx, [record.person])
            await self._save_spent(tx, record.person, unspend(spent[record.person], record.id), now)

    async def _recipient(
        self, tx: Tx, account: Account, record: DeliveryRecord, address: str | None
    ) -> tuple[Account, dict[str, list[BudgetEntry]]]:
        """The account with what the recipient refused anywhere, and what was spent on the persons concerned, locked."""
        if record.user is None or not self._reaches_customer(record.channel):
            return account, {}
        theirs = set(self._persons.keys.of(address, record.user))
        spent = await self._persons.lock(tx, theirs | ({record.person} if record.person else set()))
        found = await self._persons.refusals(tx, theirs)
        refusals = {refusal for theirs in found.values() for refusal in theirs}
        return with_refusals(account, {record.user: refusals}), spent

    async def _save_spent(self, tx: Tx, person: str | None, entries: Iterable[BudgetEntry], now: datetime) -> None:
        if person is not None:
            await self._persons.save_spent(tx, {person: still_counting(entries, now, self._book.budget)})

    def _with_contact(self, spent: Iterable[BudgetEntry], decision: Decision, now: datetime) -> Iterable[BudgetEntry]:
        """What was spent on a person, with this delivery where its channel makes it a contact."""
        traits = self._book.channels.get(decision.channel)
        return spend(spent, decision.budget_entry(now)) if traits is None or traits.is_contact else spent

    def _reaches_customer(self, channel: str) -> bool:
        traits = self._book.channels.get(channel)
        return traits is None or traits.reaches_customer

    def _mailed_person(self, channel: str, person: str | None) -> str | None:
        """The person, where the message goes to an address of theirs."""
        traits = self._book.channels.get(channel)
        return person if traits is None or traits.needs_address else None

    async def _is_live(self, read: Read) -> bool:
        return (await store.read_mode(read, self._default_mode)).mode == "live"

    async def _account(self, tx: Tx, account_id: str) -> Account:
        """The account, locked. Raises LookupError where it is not there."""
        return (await self._accounts.load_for_update(tx, {account_id}))[account_id]


def _as_tried(record: DeliveryRecord, verdict: Verdict) -> Verdict:
    """The verdict on one that was tried in vain before: what its attempts met stays told, and is why it is too late now."""
    if not record.attempt or verdict.detail:
        return verdict
    if verdict.action == "defer":
        return verdict._replace(detail=record.detail)
    if verdict.reason not in {"expired", "quiet_hours"}:
        return verdict
    return Verdict("skip", "expired", f"the last of {record.attempt} attempts: {record.detail}"[:_MAX_DETAIL])


async def release(tx: Tx, delivery_id: str, now: datetime) -> None:
    """Let a previewed delivery go with the next sending. Raises Refused, saying why it cannot."""
    record = _found(await store.load_for_update(tx, delivery_id))
    if record.history:
        raise Refused("planned from imported history: it shows what would have been, and is never sent", "history", 409)
    if record.status != "previewed":
        raise Refused(f"it is {record.status}: only what is previewed can be released", "not_previewed", 409)
    if record.expires_at <= now:
        raise Refused(f"it expired at {record.expires_at.isoformat()}: late help is no help", "expired", 409)
    await _release(tx, record, now)


async def release_play(tx: Tx, play: str, now: datetime) -> int:
    """Let of a play go what still may, AT_ONCE_BY_HAND at most. How many."""
    records = await store.previewed(tx, play, now, AT_ONCE_BY_HAND)
    for record in records:
        await _release(tx, record, now)
    return len(records)


async def redrive(tx: Tx, delivery_id: str, now: datetime) -> None:
    """Send a failed delivery again: it is asked again like any other. Raises Refused, saying why it cannot be."""
    record = _found(await store.load_for_update(tx, delivery_id))
    if record.status == "unknown":
        raise Refused("it may have arrived, and nothing is sent twice", "in_doubt", 409)
    if record.status != "failed":
        raise Refused(f"it is {record.status}: only what failed is sent again", "not_failed", 409)
    if record.expires_at <= now:
        raise Refused(f"it expired at {record.expires_at.isoformat()}: late help is no help", "expired", 409)
    await _redrive(tx, record, now)


async def redrive_failed(tx: Tx, wanted: store.FailedFilter, now: datetime) -> int:
    """Send again what failed and matches, AT_ONCE_BY_HAND at most. How many."""
    records = await store.failed(tx, wanted, now, AT_ONCE_BY_HAND)
    for record in records:
        await _redrive(tx, record, now)
    return len(records)


async def complete_task(
    tx: Tx, delivery_id: str, accounts: Accounts, now: datetime, by: str = "", outcome: str = ""
) -> None:
    """The task is done, with what came of it; completing it twice changes nothing. Raises Refused where it is no open task."""
    record = _found(await store.load_for_update(tx, delivery_id))
    if record.status == "done":
        return
    if record.status != "opened":
        raise Refused(f"a {record.channel} that is {record.status} is no open task", "no_task", 409)
    await store.change(tx, record, "done", done_at=now, done_by=by, outcome=outcome)
    locked = await accounts.load_for_update(tx, {record.account})
    closed = [with_task_done(close_task(account, delivery_id), delivery_id, now) for account in locked.values()]
    await accounts.save(tx, closed)


async def _release(tx: Tx, record: DeliverySummary, now: datetime) -> None:
    await store.change(tx, record, "pending", reason=RELEASED, not_before=max(now, record.not_before))


async def _redrive(tx: Tx, record: DeliverySummary, now: datetime) -> None:
    await store.change(tx, record, "pending", reason=REDRIVEN, not_before=now, attempt=0)


def _found(record: DeliveryRecord | None) -> DeliveryRecord:
    if record is None:
        raise Refused("no such delivery", "no_delivery", 404)
    return record
