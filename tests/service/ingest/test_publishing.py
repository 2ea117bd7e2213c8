"""From posted events to `usage.v1`, on either deployment."""

from datetime import timedelta

import msgspec

from shared.bus.protocol import ProducerRecord
from shared.contracts.topics import USAGE_RAW
from shared.contracts.usage import UsageEvent
from tests import make
from tests.make import NOON, eventually
from tests.service.ingest.make import ANN, RunningIngest, at, facts

HOUR = timedelta(hours=1)


def track(name: str, user: str = "ann", ago: timedelta = timedelta(0), **more: object) -> dict[str, object]:
    """A track event that names no account."""
    return make.track(name, user, at=NOON - ago, **more)


def group(account: str, ago: timedelta = timedelta(0), number: str = "g") -> dict[str, object]:
    return make.group(account, at=NOON - ago, messageId=number)


async def test_a_posted_event_is_published_as_it_was_meant(ingest: RunningIngest) -> None:
    sent = track("Export", ago=HOUR, properties={"rows": 7}) | {"context": {"groupId": "acme"}}
    await ingest.post(sent, sentAt=at(NOON))
    wanted = UsageEvent(
        "Export", "acme", "track", "Export", NOON - HOUR, NOON, "default", "ann", msgspec.Raw(b'{"rows":7}')
    )
    (found,) = await ingest.published()
    assert msgspec.json.encode(found) == msgspec.json.encode(wanted)


async def test_history_keeps_its_name_and_its_time(ingest: RunningIngest) -> None:
    await ingest.post(track("old", groupId="acme") | {"timestamp": "2013-02-28T00:00:00Z"}, history="import-1")
    (found,) = await ingest.published()
    assert (found.history, found.at.isoformat()) == ("import-1", "2013-02-28T00:00:00+00:00")


async def test_a_bad_event_of_three_is_parked_and_the_others_published(ingest: RunningIngest) -> None:
    await ingest.post(ANN | {"messageId": "1"}, ANN | {"messageId": "2", "event": ""}, ANN | {"messageId": "3"})
    assert facts(await ingest.published()) == [("1", "acme"), ("3", "acme")]
    (one,) = await ingest.parked()
    assert (one["reason"], one["about"]) == ("no_event_name", "")
    assert msgspec.json.decode(one["body"])["messageId"] == "2"


async def test_nothing_anybody_sends_stops_the_reader(ingest: RunningIngest) -> None:
    poison = [
        b"\xff",
        b"",
        b'{"event":"\xff"}',
        b'{"type":"track","a":%s' % (b"[" * 50_000),
        b'{"type":"tr\\u0000ack","userId":"a"}',
        b'{"type":"track","event":"x","userId":"a\\u0000"}',
        b'{"type":"track","event":"x","userId":"a","timestamp":"0001-01-01T00:00:00+14:00"}',
        b'{"type":"track","event":"x","userId":"%s"}' % (b"9" * 6000),
        b'{"type":"track","event":"x","userId":"\\ud800 a b c d"}',
        b'{"type":"\\u00e9","userId":"a","context":5}',
        b'{"type":"track","event":"x","userId":"a","properties":{"a":1e999}}',
        b'{"type":"track","event":"x","groupId":"acme","properties":{"a":"%s"}}' % (b"y" * 1024 * 1024),
    ]
    await ingest.context.bus.publish(USAGE_RAW.name, [ProducerRecord(b"", value) for value in poison])
    await ingest.context.bus.publish(
        USAGE_RAW.name, [ProducerRecord(b"k", b"{}", meta) for meta in (b"{", b"\xff", b'{"source":5}')]
    )
    await ingest.post(ANN | {"messageId": "after"})
    assert facts(await ingest.published()) == [("after", "acme")]
    assert len(await ingest.parked()) == len(poison) + 3
    assert {one["reason"] for one in await ingest.parked()} >= {"bad_json", "too_deep", "nul_character", "too_large"}


async def test_a_record_of_a_products_own_producer_takes_the_same_road(ingest: RunningIngest) -> None:
    value = msgspec.json.encode(ANN | {"messageId": "1", "timestamp": at(NOON)})
    await ingest.context.bus.publish(USAGE_RAW.name, [ProducerRecord(b"acme", value), ProducerRecord(b"acme", value)])
    (found,) = await ingest.published()
    assert (found.id, found.account, found.source, found.at) == ("1", "acme", "kafka", NOON)


async def test_duplicates_are_dropped_wherever_they_come(ingest: RunningIngest) -> None:
    one, two, three = (ANN | {"messageId": str(n)} for n in (1, 2, 3))
    await ingest.post(one, one, two)
    assert len(await ingest.published()) == 2
    await ingest.post(two, three, one)
    await ingest.post(three)
    assert facts(await ingest.published()) == [("1", "acme"), ("2", "acme"), ("3", "acme")]


async def test_an_account_is_found_by_the_users_latest_group(ingest: RunningIngest) -> None:
    await ingest.post(group("acme", ago=2 * HOUR))
    await ingest.published()
    await ingest.post(track("first"))
    await ingest.published()
    await ingest.post(group("beta", ago=HOUR, number="g2"))
    await ingest.published()
    await ingest.post(track("second"))
    await ingest.published()
    await ingest.post(group("late", ago=3 * HOUR, number="g3"))
    await ingest.published()
    await ingest.post(track("third"))
    found = sorted(facts(await ingest.published()))
    assert found == [
        ("first", "acme"),
        ("g", "acme"),
        ("g2", "beta"),
        ("g3", "late"),
        ("second", "beta"),
        ("third", "beta"),
    ]


async def test_what_came_before_the_account_was_known_waits_and_is_taken_up_once_in_order(
    ingest: RunningIngest,
) -> None:
    await ingest.post(track("c", ago=HOUR), track("a", ago=3 * HOUR), track("b", ago=2 * HOUR), track("x", user="bob"))
    assert await ingest.published() == []
    assert {(one["reason"], one["about"]) for one in await ingest.parked()} == {
        ("no_account", "ann"),
        ("no_account", "bob"),
    }

    await ingest.post(group("acme"))
    assert facts(await ingest.published()) == [(name, "acme") for name in "gabc"]
    assert [one["about"] for one in await ingest.parked()] == ["bob"]

    await ingest.post(group("acme", number="g2"), track("a", ago=3 * HOUR))
    assert facts(await ingest.published()) == [(name, "acme") for name in ("g", "a", "b", "c", "g2")]


async def test_an_alias_brings_what_its_user_did_before(ingest: RunningIngest) -> None:
    alias = {"type": "alias", "previousId": "anon", "userId": "ann", "messageId": "alias", "timestamp": at(NOON)}
    await ingest.post(track("before", user="anon"))
    await ingest.published()
    await ingest.post(alias)
    assert await ingest.published() == []
    await ingest.post(group("acme"))
    assert facts(await ingest.published()) == [(name, "acme") for name in ("g", "alias", "before")]
    await ingest.post(track("after", user="anon"))
    assert facts(await ingest.published())[-1] == ("after", "acme")


async def test_more_can_wait_for_one_user_than_a_statement_has_parameters(embedded_ingest: RunningIngest) -> None:
    waiting = [track(str(n)) for n in range(33_000)]
    await embedded_ingest.post(*waiting[:16_500])
    await embedded_ingest.post(*waiting[16_500:])
    await embedded_ingest.post(group("acme"))

    async def all_of_them() -> bool:
        return len(await embedded_ingest.published()) == 33_001

    await eventually(all_of_them, 120)
    assert await embedded_ingest.parked() == []
