"""The canonical event of a raw record."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import astuple

from services.ingest.core.canonical import canonical_event
from shared.bus.protocol import Record
from tests.core.ingest.make import TRACK, event_of, record
from tests.make import NOON


def test_a_track_event_says_who_did_what_when() -> None:
    event = event_of(timestamp="2026-11-22T11:00:00Z", properties={"format": "pdf"}, context={"groupId": "acme"})

    assert astuple(event)[1:10] == (
        "m1",
        "track",
        "Report Exported",
        NOON.replace(hour=11),
        NOON,
        "web",
        "acme",
        "ann",
        "",
    )
    assert bytes(event.properties) == b'{"format":"pdf"}'
    assert event.history is None
    assert len(event.dedupe_key) == 16


@pytest.mark.parametrize(
    ("sent", "read"),
    [(17, "17"), (17.0, "17"), (1.5, "1.5"), (-0.0, "0"), (10**50, str(10**50)), (" ann ", "ann"), ("é", "é")],
)
def test_an_id_may_be_a_number(sent: object, read: str) -> None:
    event = event_of(userId=sent, groupId=sent, messageId=sent)
    assert (event.user_id, event.account_id, event.id) == (read, read, read)


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_an_empty_id_is_none(nothing: str | None) -> None:
    event = event_of(
        userId=nothing, anonymousId="anon", groupId=nothing, messageId=nothing, context={"groupId": nothing}
    )
    assert (event.user_id, event.account_id) == ("anon", "")
    assert event.id.startswith("content-")


def test_every_key_may_be_null() -> None:
    keys = "anonymousId groupId previousId timestamp originalTimestamp sentAt context properties traits name history"
    event = event_of(**dict.fromkeys(keys.split()))
    assert (event.at, bytes(event.properties), event.history) == (NOON, b"{}", None)


def test_what_we_do_not_know_is_passed_over() -> None:
    event = event_of(integrations={"All": True}, _metadata=[1, {"x": None}], channel="server")
    assert astuple(event)[:10] == astuple(event_of())[:10]


def test_the_account_is_the_contexts_group_then_the_batchs_then_the_events() -> None:
    everywhere: dict[str, Any] = {"context": {"groupId": "of-context"}, "groupId": "of-event"}
    assert event_of({"group": "of-batch"}, **everywhere).account_id == "of-context"
    assert event_of({"group": "of-batch"}, context={}, groupId="of-event").account_id == "of-batch"
    assert event_of(groupId="of-event").account_id == "of-event"
    assert event_of().account_id == ""


def test_an_account_without_a_user_is_enough() -> None:
    event = event_of(userId=None, groupId="acme")
    assert (event.user_id, event.account_id) == ("", "acme")


def test_identify_and_group_carry_traits() -> None:
    for kind in ("identify", "group"):
        event = event_of(type=kind, groupId="acme", traits={"plan": "pro"}, properties={"no": 1})
        assert (bytes(event.properties), event.name) == (b'{"plan":"pro"}', "")


@pytest.mark.parametrize("own", [{}, {"traits": None}, {"traits": {}}])
def test_rudderstack_sends_traits_inside_the_context(own: dict[str, Any]) -> None:
    event = event_of(type="identify", context={"traits": {"plan": "pro"}}, **own)
    assert bytes(event.properties) == b'{"plan":"pro"}'


def test_where_an_identify_call_has_traits_in_both_places_both_count() -> None:
    both = {
        "traits": {"email": "ann@acme.test", "plan": "pro"},
        "context": {"traits": {"unsubscribed": True, "plan": "old"}},
    }
    event = event_of(type="identify", **both)
    assert msgspec.json.decode(event.properties) == {"unsubscribed": True, "plan": "pro", "email": "ann@acme.test"}
    of_group = event_of(type="group", groupId="acme", **both)
    assert msgspec.json.decode(of_group.properties) == {"email": "ann@acme.test", "plan": "pro"}, "of the person there"


@pytest.mark.parametrize("kind", ["page", "screen"])
def test_a_page_and_a_screen_have_a_name_and_properties(kind: str) -> None:
    event = event_of(type=kind, name=" Pricing ", properties={"path": "/pricing"})
    assert (event.type, event.name, bytes(event.properties)) == (kind, "Pricing", b'{"path":"/pricing"}')
    assert event_of(type=kind, name=None).name == ""


def test_an_alias_tells_the_former_id() -> None:
    event = event_of(type="alias", previousId="anon", userId="ann")
    assert (event.previous_user_id, event.user_id) == ("anon", "ann")


def test_the_type_may_come_from_the_path_and_in_capitals() -> None:
    assert event_of({"type": "track"}, type=None).type == "track"
    assert event_of({"type": "page"}, type="Track").type == "track"


def test_no_properties_is_said_in_many_ways() -> None:
    ways: tuple[Any, ...] = (None, {}, [])
    assert {bytes(event_of(properties=way).properties) for way in ways} == {b"{}"}


def test_a_long_name_is_cut() -> None:
    assert event_of(event="x" * 10_000).name == "x" * 256


def test_one_id_from_two_sources_is_two_events() -> None:
    assert event_of({"source": "app"}).dedupe_key != event_of().dedupe_key
    assert event_of(event="other").dedupe_key == event_of().dedupe_key


def test_without_an_id_the_content_is_the_id() -> None:
    moment: dict[str, Any] = {"messageId": None, "timestamp": "2026-11-22T11:00:00Z"}
    assert event_of(**moment).id == event_of(**moment).id != event_of(event="other", **moment).id


def test_a_minted_id_stands_in_for_a_missing_one_only() -> None:
    assert event_of({"id": "minted"}, messageId=None).id == "minted"
    assert event_of({"id": "minted"}).id == "m1"


def test_history_of_the_batch_or_of_the_event() -> None:
    assert event_of({"history": "import-1"}).history == "import-1"
    assert event_of(history="import-2").history == "import-2"


def test_a_record_without_meta_was_received_when_the_log_took_it() -> None:
    value = msgspec.json.encode(TRACK | {"sentAt": "2026-11-22T11:59:00Z", "timestamp": "2026-11-22T11:00:00Z"})
    event = canonical_event(Record(7, -1, int(NOON.timestamp() * 1000), b"", value, b""))
    assert (event.source, event.received_at, event.at) == ("kafka", NOON, NOON.replace(hour=11, minute=1))


def test_two_like_records_of_the_log_without_id_and_time_are_two_events() -> None:
    value = msgspec.json.encode({"type": "track", "event": "click", "userId": "ann"})
    first, second, again = (canonical_event(Record(offset, -1, 0, b"", value, b"")) for offset in (1, 2, 1))
    assert first.dedupe_key == again.dedupe_key != second.dedupe_key


def test_the_last_of_a_duplicate_key_holds() -> None:
    assert canonical_event(record(b'{"type":"track","event":"x","userId":"a","userId":"b"}')).user_id == "b"


def test_a_browser_tells_no_history_and_takes_no_id_from_a_server() -> None:
    told = event_of({"trust": "browser", "history": "import"})
    assert (told.history, told.trust, told.claims) == (None, "browser", ("history",))
    assert event_of({"trust": "browser"}, history="import").claims == ("history",)
    assert event_of({"trust": "browser"}).dedupe_key != event_of().dedupe_key
