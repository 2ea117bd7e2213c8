"""Producer sequence: a consumer drops repeated records, and halts at a hole."""

import pytest

from shared.bus.protocol import Partition, Record, RecordBatch
from shared.failures import Halted
from shared.service.ownership import ANY_SEQUENCE, Claim
from shared.service.processor import BatchDecoder

HERE = Partition("lifecycle.v1", 0)


def decode(next_sequence: int, *seqs: int) -> tuple[list[bytes], int]:
    """Records from offset 100 on with these sequences, for a claim that is there: the messages, and the sequence after."""
    records = [Record(100 + n, seq, 0, b"k", str(seq).encode(), b"") for n, seq in enumerate(seqs)]
    decoded = BatchDecoder(lambda record: record.value).decode_batch(
        RecordBatch(HERE, records), Claim(1, 100, next_sequence)
    )
    assert decoded.claim.next_offset == 100 + len(seqs)
    return decoded.messages, decoded.claim.next_sequence


def test_what_a_relay_repeats_is_dropped() -> None:
    assert decode(7, 5, 6, 7, 8, 7, 8, 9) == ([b"7", b"8", b"9"], 10)


def test_a_hole_stops_the_reader() -> None:
    with pytest.raises(Halted, match="sequence 8 is missing before 9"):
        decode(7, 7, 9)


def test_a_group_that_begins_behind_the_start_of_the_log_takes_the_sequence_it_finds() -> None:
    assert decode(ANY_SEQUENCE, 41, 42) == ([b"41", b"42"], 43)
    with pytest.raises(Halted, match="sequence 42 is missing"):
        decode(ANY_SEQUENCE, 41, 43)


def test_records_without_a_sequence_are_all_taken() -> None:
    assert decode(0, -1, -1) == ([b"-1", b"-1"], 0)
    assert decode(ANY_SEQUENCE, -1, -1) == ([b"-1", b"-1"], ANY_SEQUENCE)
