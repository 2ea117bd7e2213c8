"""What does a reader make of its producer's own sequence? Repetitions are dropped, a hole stops it."""

import pytest

from shared.bus.protocol import Batch, Partition, Record
from shared.failures import Halted
from shared.service.cursor import UNKNOWN, Claim
from shared.service.unpacking import Unpacker

HERE = Partition("lifecycle.v1", 0)


def unpack(next_seq: int, *seqs: int) -> tuple[list[bytes], int]:
    """Records from offset 100 on with these sequences, for a claim that is there: the messages, and the sequence after."""
    records = [Record(100 + n, seq, 0, b"k", str(seq).encode(), b"") for n, seq in enumerate(seqs)]
    unpacked = Unpacker(lambda record: record.value).unpack(Batch(HERE, records), Claim(1, 100, next_seq))
    assert unpacked.after.next_off == 100 + len(seqs)
    return unpacked.messages, unpacked.after.next_seq


def test_what_a_relay_repeats_is_dropped() -> None:
    assert unpack(7, 5, 6, 7, 8, 7, 8, 9) == ([b"7", b"8", b"9"], 10)


def test_a_hole_stops_the_reader() -> None:
    with pytest.raises(Halted, match="sequence 8 is missing before 9"):
        unpack(7, 7, 9)


def test_a_group_that_begins_behind_the_start_of_the_log_takes_the_sequence_it_finds() -> None:
    assert unpack(UNKNOWN, 41, 42) == ([b"41", b"42"], 43)
    with pytest.raises(Halted, match="sequence 42 is missing"):
        unpack(UNKNOWN, 41, 43)


def test_records_without_a_sequence_are_all_taken() -> None:
    assert unpack(0, -1, -1) == ([b"-1", b"-1"], 0)
    assert unpack(UNKNOWN, -1, -1) == ([b"-1", b"-1"], UNKNOWN)
