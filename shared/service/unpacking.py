"""What does a batch hold that we have not taken yet, and can we read it?"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from shared.bus.fingerprint import fingerprint
from shared.bus.protocol import Batch, Record
from shared.contracts.topics import Topic
from shared.failures import Halted, Parked
from shared.service.cursor import UNKNOWN, Claim
from shared.service.parking import Unfit


class Unpacked(NamedTuple):
    """The messages, what could not be read, and the claim after."""

    messages: list[Any]
    unfit: list[Unfit]
    after: Claim


Decode = Callable[[Record], Any]
"""Reads one record; raises Parked or msgspec.DecodeError for one that cannot be taken."""


def contract(topic: Topic) -> Decode:
    """Reads a topic's records as the messages of its contract."""
    decode = msgspec.json.Decoder(topic.carries).decode
    return lambda record: decode(record.value)


class Unpacker:
    """Reads one topic's records with one decoder."""

    def __init__(self, decode: Decode) -> None:
        self.message = decode

    def unpack(self, batch: Batch, claim: Claim) -> Unpacked:
        """Raises Halted when the producer's own sequence has a hole: a record of ours never reached the log."""
        records, next_seq = _fresh(batch, claim)
        messages, unfit = self._decoded(records)
        after = Claim(claim.epoch, batch.end, next_seq, fingerprint(batch.records[-1]))
        return Unpacked(messages, unfit, after if batch.end > claim.next_off else claim)

    def _decoded(self, records: Sequence[Record]) -> tuple[list[Any], list[Unfit]]:
        messages: list[Any] = []
        unfit: list[Unfit] = []
        for record in records:
            try:
                messages.append(self.message(record))
            except Parked as why:
                unfit.append(Unfit(record, why))
            except msgspec.DecodeError as error:
                unfit.append(Unfit(record, Parked(str(error), "not_the_contract")))
        return messages, unfit


def _fresh(batch: Batch, claim: Claim) -> tuple[list[Record], int]:
    """The records not taken before: by their offset, and by the producer's sequence where a relay repeated itself."""
    next_seq = claim.next_seq
    fresh = []
    for record in batch.records:
        if record.offset < claim.next_off or -1 < record.seq < next_seq:
            continue
        next_seq = record.seq if next_seq == UNKNOWN and record.seq >= 0 else next_seq
        if record.seq > next_seq:
            raise Halted(f"{batch.partition}: sequence {next_seq} is missing before {record.seq}")
        next_seq += record.seq >= 0
        fresh.append(record)
    return fresh, next_seq
