"""What does advocacy do when told? Step each account through its messages in order, write each once, publish what was decided."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from services.advocacy.core import answers, opting
from services.advocacy.core.account import Account
from services.advocacy.core.decisions import Decision, Invitation, Published, Step
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.kinds import Ballot
from services.advocacy.core.referral import Code, Referral
from services.advocacy.core.requests import requested
from services.advocacy.core.step import advance, apply
from services.advocacy.store import accounts, asked, referrals
from services.advocacy.store.settling import Settler
from shared.clock import Clock
from shared.contracts.advocacy import AdvocateOptedIn, OutreachRequested, SurveyAnswered
from shared.contracts.topics import ADVOCACY, LIFECYCLE
from shared.db.protocol import Tx
from shared.service.processor import MessageBatch

GROUP = "advocacy"
Signed = Callable[[Invitation], str]
"""Gives the address of the page of this invitation."""


class Handlers:
    """Applies the company's definitions. `part_of` gives the partition of `lifecycle.v1` that an account is in."""

    def __init__(self, definitions: Definitions, part_of: Callable[[str], int], link: Signed, clock: Clock) -> None:
        self._definitions = definitions
        self._part_of = part_of
        self._link = link
        self._clock = clock
        self.handled_until: dict[int, datetime] = {}
        """For each partition of `lifecycle.v1` when its latest handled message was decided."""

    async def messages(self, tx: Tx, batch: MessageBatch) -> None:
        """One batch of `lifecycle.v1` or `outreach.v1`."""
        names = {message.account for message in batch.messages}
        known = await accounts.held(tx, names, self._part_of, self._definitions)
        decided: list[Decision] = []
        for message in batch.messages:
            known[message.account], more = apply(known[message.account], message, self._definitions)
            decided += more
        await self._keep(tx, known.values(), decided)
        if batch.topic is LIFECYCLE:
            self.handled_until[batch.partition] = batch.messages[-1].decided_at

    async def advance_time(self, tx: Tx, ids: Sequence[str], until: datetime) -> int:
        """What time alone brings to these accounts. How many there were."""
        known = await accounts.known(tx, ids)
        decided: list[Decision] = []
        for name, account in known.items():
            known[name], more = advance(account, until, self._definitions)
            decided += more
        await self._keep(tx, known.values(), decided)
        return len(known)

    async def answer(self, tx: Tx, invitation: Invitation, given: Ballot) -> None:
        """Somebody answers on our page. Raises the core's Refused."""
        account = await self._account(tx, invitation.account)
        previous = await asked.answered(tx, invitation.id)
        step = answers.answer(account, invitation, previous, given, self._definitions, self._clock.now())
        await self._take(tx, step)

    async def accept(self, tx: Tx, invitation: Invitation) -> None:
        """Somebody will refer others, and gets the first code that is free, or keeps the one held. Raises the core's Refused."""
        account, now = await self._account(tx, invitation.account), self._clock.now()
        held = await referrals.code_of(tx, invitation.account, invitation.user)
        attempt, free = 0, False
        while not free:
            step = opting.opt_in(account, invitation.id, self._definitions.referrals, now, attempt, held)
            settler = await Settler.holding(tx, step[1], self._definitions.referrals, now)
            free = all(settler.free(one) for one in step[1] if isinstance(one, Code))
            attempt += 1
        await self._take(tx, step)

    async def decline(self, tx: Tx, invitation: Invitation) -> None:
        """Somebody will not. Raises the core's Refused."""
        account = await self._account(tx, invitation.account)
        await self._take(tx, opting.decline(account, invitation.id, self._clock.now()))

    async def _account(self, tx: Tx, name: str) -> Account:
        return (await accounts.held(tx, [name], self._part_of, self._definitions))[name]

    async def _take(self, tx: Tx, step: Step) -> None:
        await self._keep(tx, [step[0]], step[1])

    async def _keep(self, tx: Tx, known: Iterable[Account], decided: Sequence[Decision]) -> None:
        now = self._clock.now()
        await accounts.keep(tx, known, self._part_of, self._definitions)
        await asked.keep(tx, decided)
        settler = await Settler.holding(tx, decided, self._definitions.referrals, now)
        told: list[Any] = []
        for decision in decided:
            told += await _TELLS[type(decision)](self, settler, decision) if type(decision) in _TELLS else []
        tx.emit(ADVOCACY, told)

    async def _ask(self, _settler: Settler, one: Invitation) -> list[OutreachRequested]:
        return [requested(one, self._link(one), self._clock.now())]

    async def _came(self, settler: Settler, one: Referral) -> list[Published]:
        return await settler.came(one)

    async def _given_out(self, settler: Settler, one: Code) -> list[Published]:
        return await settler.given_out(one)

    async def _publish(self, _settler: Settler, one: Published) -> list[Published]:
        return [one]


_TELLS: dict[type[Any], Callable[..., Any]] = {
    Invitation: Handlers._ask,  # noqa: SLF001  the table of this class's own reactions
    Referral: Handlers._came,  # noqa: SLF001
    Code: Handlers._given_out,  # noqa: SLF001
    SurveyAnswered: Handlers._publish,  # noqa: SLF001
    AdvocateOptedIn: Handlers._publish,  # noqa: SLF001
}
"""What each decision leads to beyond its row; one that is not here is a row and nothing else."""
