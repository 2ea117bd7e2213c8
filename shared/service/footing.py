"""Is this batch what comes next? A reader may stand in the wrong place: what it hands out from there would skip records.

aiokafka hands out records before it knows where their owner wants to start.
"""

from typing import Literal, NamedTuple

from shared.bus.protocol import Batch, Partition
from shared.service.cursor import Claim

Step = Literal["next", "astray", "gap"]
"""What comes next; or the reader must be put in its place; or the log really has nothing before this batch."""


class _Sought(NamedTuple):
    """Where we have put a reader, in which claim, and what it handed out before that."""

    epoch: int
    at: int
    start: int


class Footing:
    """Remembers where readers were put, so that the same answer from the right place is believed."""

    def __init__(self) -> None:
        self._sought: dict[Partition, _Sought] = {}

    def step(self, batch: Batch, claim: Claim) -> Step:
        """For "astray" the caller seeks to the claim: only a reader put exactly there is believed that there is a gap."""
        if batch.start <= claim.next_off:
            return "next"
        sought = _Sought(claim.epoch, claim.next_off, batch.start)
        if self._sought.get(batch.partition) == sought:
            return "gap"
        self._sought[batch.partition] = sought
        return "astray"
