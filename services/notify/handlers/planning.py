"""What do we do when told, or when time passes? Ask the core account by account, and write what it decided, once."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from services.notify.core.engine import advance, apply
from services.notify.core.planned import Planned
from services.notify.core.playbook import Playbook
from services.notify.core.reach import REACH
from services.notify.core.settled import closed, dropped
from services.notify.core.state import Account
from services.notify.handlers.writing import Writer, recorded, row
from services.notify.rendering import Rendered, RenderError
from services.notify.store import accounts, deliveries
from services.notify.store.switch import Mode, read_switch
from shared.clock import Clock
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.lifecycle import LifecycleMessage
from shared.contracts.outreach import OutreachRecorded
from shared.contracts.topics import LIFECYCLE, OUTREACH
from shared.db.protocol import Tx
from shared.service.processor import MessageBatch

GROUP = "notify"
UNWRITABLE = "unwritable"
_Taken = LifecycleMessage | OutreachRequested
_TOLD: dict[str, Any] = {"previewed": "previewed", "skipped": "skipped", "opened": "opened"}
"""What the others hear when it is planned: a pending delivery is told once it was sent."""


class Handlers:
    """Applies one playbook. `first` is the mode before anybody set one."""

    def __init__(
        self, book: Playbook, writer: Writer, part_of: accounts.PartOf, clock: Clock, first: Mode = "preview"
    ) -> None:
        self._book = book
        self._writer = writer
        self._part_of = part_of
        self._clock = clock
        self._first = first
        self.handled_until: dict[int, datetime] = {}
        """For each partition of `lifecycle.v1` when its latest handled message was decided."""

    async def told(self, tx: Tx, batch: MessageBatch) -> None:
        """One batch of `lifecycle.v1` or `advocacy.v1`."""
        messages = [message for message in batch.messages if isinstance(message, _Taken)]
        known = await accounts.begun(tx, {message.account for message in messages}, self._part_of)
        decided: list[Planned] = []
        for message in messages:
            known[message.account], planned = apply(known[message.account], message, self._book)
            decided += planned
        await self._keep(tx, known, decided)
        if batch.topic is LIFECYCLE:
            self.handled_until[batch.partition] = batch.messages[-1].decided_at

    async def advance_time(self, tx: Tx, ids: Sequence[str], until: datetime) -> int:
        """What time alone brings to these accounts. How many there were."""
        known = await accounts.locked(tx, ids)
        decided: list[Planned] = []
        for name, account in known.items():
            known[name], planned = advance(account, until, self._book)
            decided += planned
        await self._keep(tx, known, decided)
        return len(known)

    async def _keep(self, tx: Tx, known: dict[str, Account], decided: Iterable[Planned]) -> None:
        fresh = await self._fresh(tx, decided)
        live = bool(fresh) and (await read_switch(tx, self._first)).mode == "live"
        now, rows = self._clock.now(), list[dict[str, Any]]()
        told: list[OutreachRecorded] = []
        for planned, written in map(self._written, fresh):
            known[planned.account] = _after(known[planned.account], planned)
            status = _status(planned, live=live)
            rows.append(row(planned, status, written, known[planned.account], now))
            if status in _TOLD:
                told.append(recorded(planned, _TOLD[status], planned.at, now, planned.reason))
        await deliveries.add(tx, rows)
        await accounts.keep(tx, self._part_of, known.values())
        tx.emit(OUTREACH, told)

    async def _fresh(self, tx: Tx, decided: Iterable[Planned]) -> list[Planned]:
        """Those that were not planned before. Their accounts are locked: nobody else plans them now."""
        once = {planned.id: planned for planned in decided}
        known = await deliveries.known(tx, once.keys()) if once else set()
        return [planned for name, planned in once.items() if name not in known]

    def _written(self, planned: Planned) -> tuple[Planned, Rendered]:
        try:
            return planned, self._writer.written(planned)
        except RenderError as error:
            failed = replace(planned, send=False, reason=UNWRITABLE, detail=str(error))
            return failed, self._writer.written(failed)


def _after(account: Account, planned: Planned) -> Account:
    """What could not be written costs nothing."""
    return closed(dropped(account, planned.id), planned.id) if planned.reason == UNWRITABLE else account


def _status(planned: Planned, *, live: bool) -> str:
    """Where a delivery begins. A task stands in our own house, so it is opened in either mode."""
    if not planned.send:
        return "skipped"
    if planned.history:
        return "previewed"
    if not REACH[planned.channel].customer:
        return "opened"
    return "pending" if live else "previewed"
