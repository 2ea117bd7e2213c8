"""Key refresh: what a process knows of the issued keys follows the table within seconds, whichever process changed it."""

import asyncio
from datetime import UTC, datetime

import structlog

from shared.access import keys as issued
from shared.access.keys import USE_IS_KNOWN_TO
from shared.clock import Clock
from shared.db.protocol import Database
from shared.keys import Keys

EVERY = 2.0
"""Seconds after which a key that another process created or revoked counts here."""
_AT_MOST_EVERY = 1.0
_PATIENCE = 1.0
_NEVER = datetime.min.replace(tzinfo=UTC)
_log = structlog.get_logger(__name__)


class KeyRefresh:
    """Reads the live keys into `keys` again and again, and notes in the table which were used."""

    def __init__(self, keys: Keys, database: Database, clock: Clock) -> None:
        self._keys = keys
        self._database = database
        self._clock = clock
        self._began = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None
        self._used: set[str] = set()
        self._noted: dict[str, datetime] = {}

    async def run(self) -> None:
        """For ever. While the database does not answer the keys hold that were known."""
        while True:
            await self.refresh()
            await self._note_use()
            await asyncio.sleep(EVERY)

    async def refresh(self) -> None:
        """Read them now."""
        self._began = asyncio.get_running_loop().time()
        async with self._database.snapshot() as read:
            self._keys.replace_issued(await issued.live_keys(read, self._clock.now()))

    async def refresh_for_unknown(self) -> None:
        """Somebody shows a key that is not known: it may have been created just now, elsewhere.

        At most once a second, however many show one, and all wait for the same answer, for a second at most.
        """
        running = self._refreshing is not None and not self._refreshing.done()
        if not running and asyncio.get_running_loop().time() - self._began < _AT_MOST_EVERY:
            return
        if self._refreshing is None or not running:
            self._refreshing = asyncio.create_task(self._refresh_or_log())
        await asyncio.wait({self._refreshing}, timeout=_PATIENCE)

    async def _refresh_or_log(self) -> None:
        try:
            await self.refresh()
        except Exception as error:  # noqa: BLE001  the loop reads them again, and readyz says what is wrong
            _log.warning("keys_not_read", error=repr(error))

    async def _note_use(self) -> None:
        """Write the last uses: each key at most once a minute."""
        now = self._clock.now()
        self._used |= self._keys.take_used()
        due = {key_id for key_id in self._used if now - self._noted.get(key_id, _NEVER) >= USE_IS_KNOWN_TO}
        if due:
            async with self._database.transaction() as tx:
                await issued.record_use(tx, due, now)
            self._noted |= dict.fromkeys(due, now)
            self._used -= due
