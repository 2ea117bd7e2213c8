"""Is this batch what comes next? A reader may stand in the wrong place, or in a log that is no longer the one we read.

aiokafka hands out records before it knows where their owner wants to start: what it hands out from there would skip some.
And whoever deletes a topic and makes it anew leaves other records at the same offsets. So each claim begins to read at
the record it took last: the log has to show it again, unchanged.
"""

from typing import Literal, NamedTuple

from shared.bus.fingerprint import fingerprint
from shared.bus.protocol import Batch, Partition
from shared.service.cursor import Claim

Step = Literal["next", "astray", "gap", "foreign"]
"""What comes next; or the reader must be put in its place (`Claim.start`); or the log has nothing more before this batch;
or it is another log.
"""


class _Sought(NamedTuple):
    """Where we have put a reader, in which claim, and what it handed out before that."""

    epoch: int
    at: int
    start: int


class Footing:
    """Remembers where readers were put, so that the same answer from the right place is believed."""

    def __init__(self) -> None:
        self._sought: dict[Partition, _Sought] = {}
        self._known: dict[Partition, int] = {}

    def step(self, batch: Batch, claim: Claim) -> Step:
        """For "astray" the caller puts the reader right: only from there a gap is believed."""
        known = self._known.get(batch.partition) == claim.epoch
        at = claim.next_off if known else claim.start
        if batch.start > at:
            return self._beyond(batch, claim, at)
        return "next" if known else self._shown(batch, claim)

    def _beyond(self, batch: Batch, claim: Claim, at: int) -> Step:
        sought = _Sought(claim.epoch, at, batch.start)
        if self._sought.get(batch.partition) != sought:
            self._sought[batch.partition] = sought
            return "astray"
        self._known[batch.partition] = claim.epoch
        return "gap"

    def _shown(self, batch: Batch, claim: Claim) -> Step:
        """Compare the record we took last, where it still exists."""
        if batch.end < claim.next_off:
            return "next"
        last = next((record for record in batch.records if record.offset == claim.next_off - 1), None)
        if claim.last_hash and last is not None and fingerprint(last) != claim.last_hash:
            return "foreign"
        self._known[batch.partition] = claim.epoch
        return "next"
