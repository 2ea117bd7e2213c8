"""Fair share: under load 429 goes to a key with more than its share, never to a lone one or to one with less."""

from contextlib import ExitStack

import pytest

from services.ingest.admission import FairShare
from shared.bus.producer import Size
from shared.bus.protocol import ProducerRecord
from shared.failures import Refused

ONE = ProducerRecord(b"", b"x" * 100)


def test_who_is_alone_may_fill_what_there_is() -> None:
    fair_share = FairShare(Size(10, 10**6))
    with ExitStack() as all_of_it:
        for _ in range(10):
            all_of_it.enter_context(fair_share.admit("only", [ONE]))


def test_while_there_is_room_everybody_may_send() -> None:
    fair_share = FairShare(Size(10, 10**6))
    with fair_share.admit("calm", [ONE]), fair_share.admit("flood", [ONE] * 4):
        pass


def test_beyond_half_a_key_with_more_than_its_share_waits() -> None:
    fair_share = FairShare(Size(10, 10**6))
    with fair_share.admit("calm", [ONE]), fair_share.admit("flood", [ONE] * 4):
        with pytest.raises(Refused) as refused, fair_share.admit("flood", [ONE]):
            pass
        with fair_share.admit("calm", [ONE]), fair_share.admit("new", [ONE]):
            pass
    assert refused.value.status == 429


def test_bytes_count_as_records_do() -> None:
    fair_share = FairShare(Size(10**6, 1000))
    with fair_share.admit("calm", [ONE]), fair_share.admit("flood", [ONE] * 4):  # noqa: SIM117  the refusal is what is tested
        with pytest.raises(Refused), fair_share.admit("flood", [ONE]):
            pass


def test_what_waits_no_longer_counts_no_longer() -> None:
    fair_share = FairShare(Size(10, 10**6))
    with pytest.raises(KeyError), fair_share.admit("flood", [ONE] * 9):
        raise KeyError
    with fair_share.admit("calm", [ONE]), fair_share.admit("flood", [ONE] * 4):
        pass
