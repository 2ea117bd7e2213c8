"""Source rates: what one source may send, and who is new."""

import asyncio
from collections.abc import Collection

import pytest

from services.ingest.admission import Newcomers, SourceRates, TokenBucket, default_rates
from services.ingest.core.segment import Identities
from shared.failures import Refused
from shared.keys import Key, Rates
from shared.settings import Settings

WEBSITE, BACKEND = Key("website", "browser", "1"), Key("backend", "server", "2")
RATES = {"browser": Rates(60, 6000, 10, 20), "server": Rates()}


def rates() -> SourceRates:
    return SourceRates(RATES)  # type: ignore[arg-type]


def test_a_bucket_gives_what_flows_in_and_lets_a_debt_be_paid_first() -> None:
    bucket = TokenBucket(60, 60)
    bucket.take(90)

    assert [bucket.seconds_to_wait(now) > 0 for now in (0, 29, 31)] == [True, True, False]
    assert bucket.seconds_to_wait(31, amount=11) == pytest.approx(10)
    assert bucket.seconds_to_wait(1000, amount=60) == 0
    assert bucket.seconds_to_wait(1000, amount=61) > 0


async def test_a_source_that_used_up_its_events_waits_and_the_others_do_not() -> None:
    of = rates()
    of.check(WEBSITE, 0)
    of.take(WEBSITE, events=90, size=1)
    with pytest.raises(Refused, match="60 events a minute") as refused:
        of.check(WEBSITE, 0)
    of.check(BACKEND, 0)
    of.check(Key("other", "browser", "3"), 0)
    of.check(WEBSITE, 31)

    assert (refused.value.status, refused.value.code) == (429, "rate_limited")
    assert refused.value.retry_after == pytest.approx(30)
    [metric] = of.collect()
    assert [(sample.labels, sample.value) for sample in metric.samples] == [
        ({"source": "website", "rate": "events_per_minute"}, 1)
    ]


async def test_bytes_are_a_rate_of_their_own() -> None:
    of = rates()
    of.take(WEBSITE, events=1, size=6000)
    with pytest.raises(Refused, match="6,000 bytes"):
        of.check(WEBSITE, 0)


async def test_two_keys_of_a_source_share_its_rates() -> None:
    of = rates()
    of.take(WEBSITE, events=60, size=1)
    with pytest.raises(Refused):
        of.check(WEBSITE._replace(id="its successor"), 0)


async def test_a_key_may_have_rates_of_its_own_or_none() -> None:
    of = rates()
    slow, free = WEBSITE._replace(rates=Rates(events_per_minute=1)), WEBSITE._replace(rates=Rates(0, 0, 0, 0))
    for key in (slow, free):
        of.take(key, events=59, size=1)
    with pytest.raises(Refused, match="1 events a minute"):
        of.check(slow, 0)
    of.check(free, 0)
    assert [of.limits_newcomers(key) for key in (slow, free, BACKEND)] == [True, False, False]


async def test_more_newcomers_than_are_left_are_refused_and_cost_nothing() -> None:
    of = rates()
    of.take_newcomers(WEBSITE, 9, 20, 0)
    with pytest.raises(Refused, match="10 accounts"):
        of.take_newcomers(WEBSITE, 2, 0, 0)
    with pytest.raises(Refused, match="20 users"):
        of.take_newcomers(WEBSITE, 1, 1, 0)
    of.take_newcomers(WEBSITE, 1, 0, 0)
    of.take_newcomers(WEBSITE, 0, 0, 0)
    of.take_newcomers(WEBSITE, 1, 2, 361)


async def test_whom_the_database_knows_or_who_was_seen_is_not_new() -> None:
    asked: list[tuple[set[str], set[str]]] = []

    async def find(accounts: Collection[str], users: Collection[str]) -> tuple[set[str], set[str]]:
        asked.append((set(accounts), set(users)))
        return {"old"} & set(accounts), {"ann"} & set(users)

    newcomers = Newcomers(find)
    new = await newcomers.among(Identities({"old", "new"}, {"ann", "bob"}))
    assert new == Identities({"new"}, {"bob"})
    newcomers.note(new)
    assert await newcomers.among(Identities({"old", "new"}, {"ann", "bob"})) == Identities(set(), set())
    assert await newcomers.among(Identities({"bob"}, {"new"})) == Identities({"bob"}, {"new"})
    assert len(asked) == 2


async def test_what_a_process_remembers_of_them_is_bounded() -> None:
    async def find(accounts: Collection[str], users: Collection[str]) -> tuple[set[str], set[str]]:  # noqa: ARG001
        return set(), set()

    newcomers = Newcomers(find, capacity=10)
    for number in range(1000):
        newcomers.note(Identities({str(number)}, set()))

    forgotten = await newcomers.among(Identities({str(number) for number in range(1000)}, set()))
    assert len(forgotten.accounts) >= 980
    assert await newcomers.among(Identities({"999"}, set())) == Identities(set(), set())


@pytest.mark.parametrize("hangs", [False, True])
async def test_while_the_database_does_not_answer_whoever_was_not_seen_is_new(hangs: bool) -> None:
    async def find(accounts: Collection[str], users: Collection[str]) -> tuple[set[str], set[str]]:  # noqa: ARG001
        await asyncio.sleep(3600 if hangs else 0)
        raise OSError("gone")

    newcomers = Newcomers(find)
    newcomers.note(Identities({"acme"}, set()))
    assert await newcomers.among(Identities({"acme", "other"}, set())) == Identities({"other"}, set())


def test_nobody_creates_a_hundred_thousand_in_an_hour_with_a_public_key() -> None:
    browser, server = default_rates(Settings())["browser"], default_rates(Settings())["server"]

    for rate in (browser.accounts_per_hour, browser.contacts_per_hour):
        assert rate is not None
        assert 0 < 2 * rate * 4 < 100_000, "a full bucket and an hour's flow, in four processes"
    assert server[2:] == (0, 0)
