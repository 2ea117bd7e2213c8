"""Limits on a connection: how long a client may take and how much it may send, and what it sees of each limit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from tests.make import eventually
from tests.service.serving.make import ASKED, PATIENCE, client, hello, listening, waiting
from waymark.serving import Limits

QUICK = Limits(head_seconds=0.2, close_seconds=0.2)
SOON = b"hello"


@pytest.fixture
async def quick() -> AsyncIterator[int]:
    async with listening(hello, QUICK) as port:
        yield port


@pytest.mark.parametrize("half", [b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", ASKED + b"GET / HT"])
async def test_a_head_that_does_not_end_is_answered_and_cut(quick: int, half: bytes) -> None:
    async with client(quick) as slow:
        await slow.say(half)
        heard = await slow.rest()
    assert b"HTTP/1.1 408 " in heard
    assert b'"code":"slow_head"' in heard


async def test_a_head_that_trickles_is_not_waited_for(quick: int) -> None:
    async def trickle() -> None:
        while True:
            await slow.say(b"X-More: 1\r\n")
            await asyncio.sleep(0.02)

    async with client(quick) as slow:
        await slow.say(ASKED[:-2])
        trickling = asyncio.create_task(trickle())
        assert (await slow.rest()).startswith(b"HTTP/1.1 408 ")
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)


@pytest.mark.parametrize("said", [b"", b"\r\n"])
async def test_a_connection_that_asks_nothing_is_closed(quick: int, said: bytes) -> None:
    async with client(quick) as idle:
        await idle.say(said)
        assert b"200" not in await idle.rest()


async def test_an_empty_line_does_not_keep_a_used_connection_open(quick: int) -> None:
    async with client(quick) as idle:
        await idle.say(ASKED)
        await idle.hear(SOON)
        await idle.say(b"\r\n")
        await idle.rest()


async def test_who_asks_in_time_may_ask_again() -> None:
    async with listening(hello, Limits(head_seconds=4.0)) as port, client(port) as quick_enough:
        for _ in range(6):  # together they take longer than one may
            await quick_enough.say(ASKED[:10])
            await asyncio.sleep(0.7)
            await quick_enough.say(ASKED[10:])
            assert (await quick_enough.hear(SOON)).startswith(b"HTTP/1.1 200 ")


async def test_a_slow_answer_is_not_a_slow_question() -> None:
    answered = asyncio.Event()
    async with listening(waiting(answered), QUICK) as port, client(port) as patient:
        await patient.say(ASKED + ASKED[:5])
        await asyncio.sleep(QUICK.head_seconds * 2)
        answered.set()
        assert (await patient.hear(b"waited for /")).startswith(b"HTTP/1.1 200 ")


LARGE = b"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 70_000
MANY = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: 1234567\r\n" * 4500


@pytest.mark.parametrize(
    "head",
    [LARGE, LARGE + b"\r\n\r\n", MANY, MANY + b"\r\n", b"GET /" + b"x" * 70_000, LARGE[:-70_000] + b"x" * 500_000],
)
async def test_a_head_that_is_too_large_is_told_so(head: bytes) -> None:
    async with listening(hello) as port, client(port) as wordy:
        await wordy.say(head)
        heard = await wordy.hear(b'"code":"head_too_large"')
    assert heard.startswith(b"HTTP/1.1 431 ")


async def test_a_large_body_is_not_a_large_head() -> None:
    async with listening(hello) as port, client(port) as friend:
        await friend.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000 + ASKED)
        assert b" 431 " not in await friend.hear(SOON) + await friend.hear(SOON)


@pytest.mark.parametrize("end", [b"", b"\r\n" + b"X-More: 1234567\r\n" * 10_000])
async def test_a_trailer_without_end_is_cut(end: bytes) -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Trailer: "
    never = asyncio.Event()
    async with listening(waiting(never)) as port, client(port) as wordy:
        await wordy.say(chunked)
        with suppress(ConnectionError):
            await wordy.say(b"x" * 100_000 + end)
        await wordy.rest()
        never.set()


async def test_what_is_not_http_is_a_problem(quick: int) -> None:
    async with client(quick) as stranger:
        await stranger.say(b"EHLO mail.example\r\n\r\n")
        heard = await stranger.rest()
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in heard


async def test_a_body_nobody_reads_is_not_listened_to_for_ever(quick: int) -> None:
    async with client(quick) as wordy:
        await wordy.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert (await wordy.rest()).startswith(b"HTTP/1.1 200 ")


async def test_who_is_answered_before_the_body_has_come_and_sends_it_may_ask_again() -> None:
    async with listening(hello, Limits(close_seconds=1.0)) as port, client(port) as honest:
        await honest.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        await honest.hear(SOON)
        await honest.say(b"later")
        await asyncio.sleep(1.5)
        await honest.say(ASKED)
        assert (await honest.hear(SOON)).startswith(b"HTTP/1.1 200 ")


async def test_who_does_not_read_the_answer_is_cut() -> None:
    async def flood(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(50):
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
        given_up.set()

    given_up = asyncio.Event()
    async with listening(flood, Limits(write_seconds=0.2)) as port, client(port) as deaf:
        await deaf.say(ASKED)
        async with asyncio.timeout(PATIENCE):
            await given_up.wait()


async def test_a_crowd_is_told_to_come_again_while_health_still_answers() -> None:
    begun, answered = [], asyncio.Event()
    few = Limits(connections=2, spare_connections=2)
    async with (
        listening(waiting(answered, lambda: begun.append(1)), few) as port,
        client(port) as one,
        client(port) as two,
        client(port) as three,
        client(port) as four,
    ):
        for early in (one, two):
            await early.say(ASKED)
        await three.say(ASKED)
        refused = await three.rest()
        await four.say(b"GET /ingest/readyz HTTP/1.1\r\nHost: x\r\n\r\n")

        async def asked() -> bool:
            return len(begun) == 3

        await eventually(asked)
        answered.set()
        assert b" 200 " in await four.hear(b"readyz")
        assert b" 200 " in await one.hear(b"waited for /")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 2\r\n" in refused
    assert b'"code":"overloaded"' in refused


async def test_beyond_the_crowd_a_connection_is_cut_at_once() -> None:
    async with (
        listening(hello, Limits(head_seconds=60, connections=1, spare_connections=0)) as port,
        client(port) as one,
        client(port) as two,
    ):
        await one.say(ASKED)
        await one.hear(SOON)
        assert await two.rest() == b""
