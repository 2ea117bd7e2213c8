"""Sessions over time: idle and absolute end, a key that was replaced, and two consoles over one database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from services.console.core.throttle import Allowance, Limits, Throttle, Wait
from shared.settings import Settings
from tests.conftest import embedded
from tests.journey.services import run_services
from tests.make import NOON, FakeClock

OLD, NEW = "an admin key of old", "an admin key of new"
SECRET = SecretStr("a secret that stays the same")


def keyed(folder: Path, *keys: str) -> Settings:
    given = ",".join(f"admin:ops:{key}" for key in keys)
    return embedded(folder).model_copy(update={"keys": SecretStr(given), "secret": SECRET})


@asynccontextmanager
async def console(settings: Settings, clock: FakeClock, cookie: str = "") -> AsyncIterator[httpx2.AsyncClient]:
    async with run_services(settings, ["console"], clock) as running:
        cookies = {"waymark_console": cookie} if cookie else {}
        async with httpx2.AsyncClient(
            base_url=running.url, headers={"Origin": running.url}, cookies=cookies, timeout=30
        ) as http:
            yield http


async def signed_in(http: httpx2.AsyncClient, key: str) -> str:
    assert (await http.post("/console/sign-in", data={"key": key})).status_code == 303
    return str(http.cookies["waymark_console"])


async def is_open(http: httpx2.AsyncClient) -> bool:
    return (await http.get("/console/sessions")).status_code == 200


async def test_a_session_ends_four_hours_after_the_last_request_and_twelve_after_its_start(tmp_path: Path) -> None:
    clock = FakeClock(NOON)
    async with console(keyed(tmp_path, OLD), clock) as http:
        await signed_in(http, OLD)
        clock.move(timedelta(hours=4))
        assert not await is_open(http)
        await signed_in(http, OLD)
        for _ in range(3):
            clock.move(timedelta(hours=3, minutes=59))
            assert await is_open(http)
        clock.move(timedelta(minutes=4))
        assert not await is_open(http)


async def test_a_session_ends_when_another_key_stands_in_the_settings_under_that_name(tmp_path: Path) -> None:
    clock = FakeClock(NOON)
    async with console(keyed(tmp_path, OLD), clock) as http:
        cookie = await signed_in(http, OLD)
    async with console(keyed(tmp_path, NEW, OLD), clock, cookie) as http:
        assert await is_open(http)
    async with console(keyed(tmp_path, NEW), clock, cookie) as http:
        assert not await is_open(http)


async def test_over_tls_the_cookie_is_of_this_host_alone(tmp_path: Path) -> None:
    settings = keyed(tmp_path, OLD).model_copy(update={"public_url": "https://waymark.example"})
    async with console(settings, FakeClock(NOON)) as http:
        answer = await http.post("/console/sign-in", data={"key": OLD})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-waymark_console=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
        given = cookie.partition(";")[0]
        assert (await http.get("/console/sessions", headers={"Cookie": given})).status_code == 200
        plain = given.replace("__Host-", "")
        assert (await http.get("/console/sessions", headers={"Cookie": plain})).status_code == 303


async def test_behind_a_proxy_that_speaks_tls_the_cookie_is_secure(tmp_path: Path) -> None:
    async with console(keyed(tmp_path, OLD), FakeClock(NOON)) as http:
        answer = await http.post("/console/sign-in", data={"key": OLD}, headers={"X-Forwarded-Proto": "https"})
    assert answer.headers["set-cookie"].startswith("__Host-waymark_console=")


async def test_guesses_are_counted_over_processes_and_restarts(tmp_path: Path) -> None:
    """Each start is a process that has counted nothing itself, as another replica over the same database has not."""
    clock, answers = FakeClock(NOON), list[int]()
    for _ in range(3):
        async with console(keyed(tmp_path, OLD), clock) as http:
            guesses = [await http.post("/console/sign-in", data={"key": f"guess {number}"}) for number in range(3)]
            answers += [answer.status_code for answer in guesses]
    assert answers == [401] * 5 + [429] * 4
    clock.move(timedelta(seconds=30))
    async with console(keyed(tmp_path, OLD), clock) as http:
        await signed_in(http, OLD)
        await signed_in(http, OLD)


def test_another_machines_clock_refills_nothing_and_one_that_was_wrong_locks_nobody_out() -> None:
    throttle = Throttle(Limits(Allowance(1, 30), Allowance(100, 1)))
    throttle.attempt("a", NOON)
    for ahead in (20, 0, 20, 0, 20):
        assert throttle.attempt("a", NOON + timedelta(seconds=ahead)).seconds > 0
    throttle.attempt("b", NOON + timedelta(days=30))
    throttle.attempt("b", NOON)
    assert throttle.attempt("b", NOON + timedelta(seconds=30)).seconds == 0


def test_an_attempt_comes_back_with_time_and_at_once_when_it_succeeded() -> None:
    throttle, now = Throttle(Limits(Allowance(2, 30), Allowance(100, 1))), NOON
    assert [throttle.attempt("a", now).seconds for _ in range(3)] == [0, 0, 30]
    assert throttle.attempt("a", now + timedelta(seconds=29)).seconds == 1
    later = now + timedelta(seconds=60)
    for _ in range(10):
        assert throttle.attempt("a", later).seconds == 0
        throttle.succeeded("a", later)


def test_a_clock_that_is_set_back_refills_nothing() -> None:
    throttle = Throttle(Limits(Allowance(1, 30), Allowance(100, 1)))
    throttle.attempt("a", NOON)
    assert throttle.attempt("a", NOON - timedelta(days=30)).seconds == 30


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("unknown", "unknown", True),
    ],
)
def test_a_customer_of_ipv6_is_one_visitor(one: str, other: str, same: bool) -> None:
    throttle = Throttle(Limits(Allowance(1, 30), Allowance(100, 1)))
    throttle.attempt(one, NOON)
    assert bool(throttle.attempt(other, NOON).seconds) is same


def test_everybody_together_has_a_limit_which_known_addresses_do_not_feel() -> None:
    throttle = Throttle(Limits(Allowance(9, 30), Allowance(2, 10)))
    assert [throttle.attempt(each, NOON) for each in "abc"] == [Wait(), Wait(), Wait(10, of_all=True)]
    assert throttle.attempt("c", NOON, known=True) == Wait()
