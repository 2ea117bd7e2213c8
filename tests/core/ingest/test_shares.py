"""Who is told to come again when it gets tight? Never who is alone, and never who has less than the others."""

from contextlib import ExitStack

import pytest

from services.ingest.shares import Shares
from shared.bus.gather import Size
from shared.bus.protocol import Outgoing
from shared.failures import Refused

ONE = Outgoing(b"", b"x" * 100)


def test_who_is_alone_may_fill_what_there_is() -> None:
    shares = Shares(Size(10, 10**6))
    with ExitStack() as all_of_it:
        for _ in range(10):
            all_of_it.enter_context(shares.waiting("only", [ONE]))


def test_while_there_is_room_everybody_may_send() -> None:
    shares = Shares(Size(10, 10**6))
    with shares.waiting("calm", [ONE]), shares.waiting("flood", [ONE] * 4):
        pass


def test_beyond_half_a_key_with_more_than_its_share_waits() -> None:
    shares = Shares(Size(10, 10**6))
    with shares.waiting("calm", [ONE]), shares.waiting("flood", [ONE] * 4):
        with pytest.raises(Refused) as refused, shares.waiting("flood", [ONE]):
            pass
        with shares.waiting("calm", [ONE]), shares.waiting("new", [ONE]):
            pass
    assert refused.value.status == 429


def test_bytes_count_as_records_do() -> None:
    shares = Shares(Size(10**6, 1000))
    with shares.waiting("calm", [ONE]), shares.waiting("flood", [ONE] * 4):  # noqa: SIM117  the refusal is what is tested
        with pytest.raises(Refused), shares.waiting("flood", [ONE]):
            pass


def test_what_waits_no_longer_counts_no_longer() -> None:
    shares = Shares(Size(10, 10**6))
    with pytest.raises(KeyError), shares.waiting("flood", [ONE] * 9):
        raise KeyError
    with shares.waiting("calm", [ONE]), shares.waiting("flood", [ONE] * 4):
        pass
