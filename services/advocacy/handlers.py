"""Handlers: advocacy's reaction to messages, to time and to people's posts, each in one transaction.

Each account takes its messages in order and is written once; the decisions are stored and published with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import assert_never

from msgspec.structs import replace

from services.advocacy.core import asks, reducer
from services.advocacy.core.account import Account
from services.advocacy.core.decisions import (
    Answer,
    Decision,
    DeliveryReported,
    FactRejected,
    Invitation,
    InvitationClosed,
    Published,
    SurveyWithheld,
)
from services.advocacy.core.definitions import Definitions, Rewards
from services.advocacy.core.invitations import Addresses, outreach_request
from services.advocacy.core.ledger import Reward, due_transitions, transition_reward
from services.advocacy.core.referral import Code, Referral, record_click
from services.advocacy.core.survey_kinds import Submission
from services.advocacy.store import invitations, referrals
from services.advocacy.store.accounts import account_repository, wake_sleeping
from services.advocacy.store.referrals import ReferralProcessor
from services.advocacy.tables import JOURNAL
from shared.clock import Clock
from shared.contracts.advocacy import (
    AdvocateOptedIn,
    NeverAskRequested,
    OutreachRequested,
    RewardStatus,
    SurveyAnswered,
)
from shared.contracts.topics import ADVOCACY, LIFECYCLE
from shared.db.accounts import PartitionOf
from shared.db.protocol import Database, Tx
from shared.failures import Refused
from shared.ids import derived
from shared.machine import IllegalTransition
from shared.service.journal import DefinitionText, Input, Journal, of_batch, of_command, of_time
from shared.service.processor import MessageBatch
from shared.service.time_slice import OutOfTime

GROUP = "advocacy"
_PAGE_MAIL_EVERY = timedelta(days=1)


class Handlers:
    """Applies the company's definitions. `partition_of` gives the partition of `lifecycle.v1` that an account is in."""

    def __init__(self, definitions: Definitions, partition_of: PartitionOf, addresses: Addresses, clock: Clock) -> None:
        self._definitions = definitions
        self._partition_of = partition_of
        self.journal = journal_of(definitions)
        self.accounts = account_repository(definitions, partition_of)
        self.addresses = addresses
        self._clock = clock
        self.handled_until: dict[int, datetime] = {}
        """For each partition of `lifecycle.v1` when its latest handled message was decided."""

    async def messages(self, tx: Tx, batch: MessageBatch) -> None:
        """One batch of `lifecycle.v1` or `outreach.v1`."""
        ids, unjournaled, now = {message.account for message in batch.messages}, dict[str, bytes](), self._clock.now()
        states = await self.accounts.load_or_create_for_update(tx, ids, unjournaled)
        decisions: list[Decision] = []
        followed: dict[str, Account] = {}
        for place, message in enumerate(batch.messages):
            if place and batch.time_slice.is_over:
                raise OutOfTime(place // 2)
            account_id = message.account
            before = states[account_id]
            after, more = reducer.apply(before, message, self._definitions)
            if reducer.is_followed(before, message, after):
                followed[account_id] = after
            states[account_id] = after
            decisions += more
        taken = of_batch(batch.topic.name, batch.partition, batch.taken, now)
        await self._save(tx, states.values(), decisions, taken, unjournaled)
        tx.emit(ADVOCACY, [reducer.history_followed(account, now) for account in followed.values()])
        if batch.topic is LIFECYCLE:
            self.handled_until[batch.partition] = batch.messages[-1].decided_at

    async def advance_time(self, tx: Tx, ids: Sequence[str], until: datetime) -> int:
        """What time alone brings to these accounts. How many there were."""
        unjournaled, now = dict[str, bytes](), self._clock.now()
        states = await self.accounts.load_for_update(tx, ids, unjournaled)
        decisions: list[Decision] = []
        for account_id, account in states.items():
            states[account_id], more = reducer.advance(account, until, self._definitions)
            decisions += more
        if states:
            passed = sorted(states)
            taken = of_time(self._partition_of(passed[0]), passed, until, {}, now)
            await self._save(tx, states.values(), decisions, taken, unjournaled)
        return len(states)

    async def answer(self, tx: Tx, invitation: Invitation, submission: Submission) -> None:
        """Somebody answers on our page. Raises Rejected."""
        account, unjournaled = await self._account(tx, invitation.account)
        previous, now = await invitations.load_answer(tx, invitation.id), self._clock.now()
        after, decisions = reducer.record_answer(account, invitation, previous, submission, self._definitions, now)
        if decisions:
            revision = previous.revision + 1 if previous else 1
            arguments = [invitation.id, str(submission.score), str(revision)]
            await self._save(tx, [after], decisions, of_command("answer", arguments, [account.id], now), unjournaled)

    async def accept(self, tx: Tx, invitation: Invitation) -> None:
        """Somebody will refer others, and gets the first code that is free, or keeps their own. Raises Rejected."""
        account, unjournaled = await self._account(tx, invitation.account)
        now = self._clock.now()
        owned = await referrals.code_of(tx, invitation.account, invitation.user)
        attempt, free = 0, False
        while not free:
            change = asks.opt_in(account, invitation.id, self._definitions.referrals, now, attempt, owned)
            processor = await ReferralProcessor.lock(tx, change[1], self._definitions.referrals, now)
            free = all(processor.is_free(each) for each in change[1] if isinstance(each, Code))
            attempt += 1
        taken = of_command("accept", [invitation.id], [account.id], now)
        await self._save(tx, [change[0]], change[1], taken, unjournaled)

    async def decline(self, tx: Tx, invitation: Invitation) -> None:
        """Somebody will not refer others. Raises Rejected."""
        account, unjournaled = await self._account(tx, invitation.account)
        now = self._clock.now()
        after, decisions = asks.decline(account, invitation.id, now)
        taken = of_command("decline", [invitation.id], [account.id], now)
        await self._save(tx, [after], decisions, taken, unjournaled)

    async def opt_out(self, tx: Tx, account_id: str, user: str) -> None:
        """Somebody wants to be asked no more."""
        account, unjournaled = await self._account(tx, account_id)
        now = self._clock.now()
        after, decisions = asks.opt_out(account, user, now)
        await self._save(tx, [after], decisions, of_command("opt_out", [user], [account_id], now), unjournaled)

    async def show_name(self, tx: Tx, account_id: str, user: str, *, shown: bool) -> None:
        """Whether friends who open the link of this person's code see their first name."""
        account, _ = await self._account(tx, account_id)
        if text := account.codes.get(user):
            held = (await referrals.load_codes_for_update(tx, [text]))[text]
            name = asks.first_name(account.contacts[user].name) if shown and user in account.contacts else ""
            if held is not None and (held.account, held.user) == (account_id, user):
                await referrals.save_code(tx, replace(held, shown_name=name))
                taken = of_command("show_name", [user, *(["shown"] if shown else [])], [account_id], self._clock.now())
                await self.journal.write(tx, taken, {})

    async def click(self, tx: Tx, code: Code) -> None:
        """Somebody goes on to sign up with this code: the window counts from it."""
        now = self._clock.now()
        code = (await referrals.load_codes_for_update(tx, [code.code]))[code.code] or code
        await referrals.save_code(tx, record_click(code, now))
        await self.journal.write(tx, of_command("click", [code.code], [code.account], now), {})

    async def mail_page(self, tx: Tx, code: Code) -> None:
        """Somebody says that this code is theirs: its holder gets the link to their own page by mail, once a day at most."""
        now = self._clock.now()
        code = (await referrals.load_codes_for_update(tx, [code.code]))[code.code] or code
        if code.page_mailed_at is not None and now - code.page_mailed_at < _PAGE_MAIL_EVERY:
            return
        await referrals.save_code(tx, replace(code, page_mailed_at=now))
        await self.journal.write(tx, of_command("mail_page", [code.code], [code.account], now), {})
        account = await self.accounts.load(tx, code.account)
        contact = account.contacts.get(code.user) if account else None
        request = OutreachRequested(
            id=derived("outreach_requested", "page", code.account, code.user, now.isoformat()),
            account=code.account,
            at=now,
            decided_at=now,
            user=code.user,
            play=self._definitions.referrals.ask.page_play,
            outreach_class="transactional",
            link=self.addresses.advocate(code.code),
            values={"name": contact.name if contact else ""},
            expires_at=now + _PAGE_MAIL_EVERY,
            behind=account.seq if account else 0,
        )
        tx.emit(ADVOCACY, [request])

    async def _account(self, tx: Tx, account_id: str) -> tuple[Account, dict[str, bytes]]:
        """The account, and its stored state where the journal knows nothing of it."""
        unjournaled: dict[str, bytes] = {}
        return (await self.accounts.load_or_create_for_update(tx, [account_id], unjournaled))[account_id], unjournaled

    async def _save(
        self,
        tx: Tx,
        states: Iterable[Account],
        decisions: Sequence[Decision],
        taken: Input,
        unjournaled: Mapping[str, bytes],
    ) -> None:
        """Write what was decided, and last what was taken: codes and rewards that several accounts share are locked by then."""
        now = taken.now
        await self.accounts.save(tx, states)
        decisions = await _with_free_codes(tx, decisions)
        await invitations.save(tx, decisions)
        processor = await ReferralProcessor.lock(tx, decisions, self._definitions.referrals, now)
        messages: list[OutreachRequested | Published] = []
        for decision in decisions:
            match decision:
                case Invitation():
                    messages.append(outreach_request(decision, self.addresses.sent(decision), now))
                case Referral():
                    messages += await processor.observe(decision)
                case Code():
                    messages += await processor.issue(decision)
                case SurveyAnswered() | AdvocateOptedIn() | NeverAskRequested():
                    messages.append(decision)
                case Answer() | SurveyWithheld() | InvitationClosed() | DeliveryReported() | FactRejected():
                    pass  # a row, which is written already
                case _:
                    assert_never(decision)
        await self.journal.write(tx, taken, unjournaled)
        tx.emit(ADVOCACY, messages)


def journal_of(definitions: Definitions) -> Journal:
    """The journal of whoever decides with these definitions. Their version: the hash of all of theirs."""
    versions = "\n".join(f"{name} {version}" for name, version in sorted(definitions.versions.items()))
    version = sha256(versions.encode()).hexdigest()[:12]
    return Journal(JOURNAL, DefinitionText(version, definitions.files))


async def move_reward(tx: Tx, reward_id: str, to: RewardStatus, journal: Journal, now: datetime) -> Reward:
    """Somebody moves a reward. Raises Refused for one that is not there or cannot go there."""
    reward = await referrals.load_reward_for_update(tx, reward_id)
    if reward is None:
        raise Refused(f"there is no reward '{reward_id}'", "no_reward", 404)
    try:
        booking = transition_reward(reward, to, now)
    except IllegalTransition as error:
        raise Refused(str(error), "forbidden_move", 409) from None
    await referrals.book_rewards(tx, [booking])
    await journal.write(tx, of_command("move_reward", [reward_id, to], [reward.account], now), {})
    return booking.reward


async def _with_free_codes(tx: Tx, decisions: Sequence[Decision]) -> Sequence[Decision]:
    """The decisions with a code that nobody else holds wherever one is reserved, and in the invitation that carries it."""
    reserved = [each for each in decisions if isinstance(each, Code) and each.reserved]
    free = {(each.account, each.code): await _first_free(tx, each) for each in reserved}

    def with_free_code(decision: Decision) -> Decision:
        if isinstance(decision, Code | Invitation) and (decision.account, decision.code) in free:
            return replace(decision, code=free[decision.account, decision.code])
        return decision

    return [with_free_code(each) for each in decisions] if reserved else decisions


async def _first_free(tx: Tx, wanted: Code) -> str:
    """The first code derived for this person that nobody else holds. It is locked."""
    text, attempt = wanted.code, 0
    while True:
        holder = (await referrals.load_codes_for_update(tx, [text]))[text]
        if holder is None or holder.is_held_by_the_same(wanted):
            return text
        attempt += 1
        text = asks.derive_code(wanted.account, wanted.user, attempt)


class SleepingAccounts:
    """Wakes accounts for which time had nothing to do when they were stored, where some survey recurs by now."""

    def __init__(self, definitions: Definitions, database: Database, clock: Clock) -> None:
        self._recurs = any(trigger.every for survey in definitions.surveys for trigger in survey.on)
        self._database = database
        self._clock = clock

    async def fire(self) -> int:
        """Set a day for some of them: how many."""
        if not self._recurs:
            return 0
        async with self._database.transaction() as tx:
            return await wake_sleeping(tx, self._clock.now())


class RewardRelease:
    """Releases rewards whose hold is over. Any process may: each row is locked, and one that is locked is left out."""

    _BATCH = 500

    def __init__(self, rules: Rewards, journal: Journal, database: Database, clock: Clock) -> None:
        self._rules = rules
        self._journal = journal
        self._database = database
        self._clock = clock

    async def fire(self) -> int:
        """Release what is due now: how many moves were made."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            due = await referrals.due_rewards(tx, now, self._BATCH, automatic=self._rules.review == "automatic")
            return await release(tx, due, self._rules, self._journal, now)


async def release(tx: Tx, due: Sequence[Reward], rules: Rewards, journal: Journal, now: datetime) -> int:
    """Release these rewards, which are locked: how many moves were made."""
    bookings = [booking for reward in due for booking in due_transitions(reward, now, rules)]
    if bookings:
        await referrals.book_rewards(tx, bookings)
        moved = list(dict.fromkeys(booking.reward.id for booking in bookings))
        await journal.write(tx, of_command("release", moved, [], now), {})
    return len(bookings)
