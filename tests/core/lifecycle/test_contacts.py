"""Contacts: who can be written to, and who has left."""

from shared.contracts.lifecycle import ContactChanged
from tests.core.lifecycle.world import World, default_definition


def test_a_person_is_told_when_known_and_again_only_when_something_changed() -> None:
    world = World(default_definition())
    for _ in range(2):
        world.identify(0, "ann", email="ann@acme.example", role="champion")
    world.identify(1, "ann", role="admin")
    assert [(one.email, one.role) for one in world.all(ContactChanged)] == [
        ("ann@acme.example", "champion"),
        ("ann@acme.example", "admin"),
    ]


def test_who_removes_somebody_is_not_the_one_who_left() -> None:
    world = World(default_definition())
    for person in ("ann", "boss"):
        world.identify(0, person, email=f"{person}@acme.example")
    world.track(1, "User Removed", "boss", user_id="ann")
    assert [one.user for one in world.all(ContactChanged, gone=True)] == ["ann"]
    assert list(world.here.contacts) == ["boss"]


def test_without_a_name_in_it_the_event_tells_of_its_own_user() -> None:
    world = World(default_definition())
    world.identify(0, "ann", email="ann@acme.example")
    world.track(1, "user_deactivated", "ann")
    assert [one.user for one in world.all(ContactChanged, gone=True)] == ["ann"]
