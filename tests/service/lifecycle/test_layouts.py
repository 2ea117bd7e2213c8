"""Layouts of an account: a state stored by an earlier version is read and goes on."""

from datetime import timedelta

import cramjam
import msgspec

from services.lifecycle.core.fold import fold
from services.lifecycle.layouts import LAYOUTS
from tests.core.lifecycle.make import DECIDED, START, Scenario, default_definition, event

DEFINITION = default_definition()


def lived() -> Scenario:
    scenario = Scenario(DEFINITION)
    scenario.use(range(20), "ann", "bob")
    scenario.group(20, seats=10, name="Acme")
    return scenario


def layout_1(scenario: Scenario) -> bytes:
    """As it was written before layouts had numbers: long states compressed behind a zero byte."""
    plain = msgspec.msgpack.encode(scenario.here)
    return b"\0" + bytes(cramjam.lz4.compress_block(plain)) if len(plain) > 1_500 else plain


def test_an_account_of_layout_1_forgets_what_it_knew_by_number_and_goes_on_the_same() -> None:
    scenario = lived()
    scenario.here.known_stores = 0b1010101
    old = LAYOUTS.decode(layout_1(scenario))
    assert (old.definition_version, old.known_stores) == ("", 0)
    anew = lived().here
    anew.decision_marks = b""  # they name rules by number, too
    later = event("ticket_opened", START + timedelta(days=30), 99, properties={"ticket_id": "t"})
    assert fold(old, later, DEFINITION, DECIDED) == fold(anew, later, DEFINITION, DECIDED)
    assert LAYOUTS.encode(old) == LAYOUTS.encode(anew)


def test_the_current_layout_is_numbered_whether_compressed_or_not() -> None:
    scenario = lived()
    scenario.use(range(20), *(f"user {number}" for number in range(60)))
    assert LAYOUTS.encode(scenario.here)[:3] == b"\xc1\x03\0"
    assert LAYOUTS.decode(LAYOUTS.encode(scenario.here)) == scenario.here
    short = Scenario(DEFINITION)
    short.use(range(1))
    assert LAYOUTS.encode(short.here)[:2] == b"\xc1\x03"
    assert LAYOUTS.decode(LAYOUTS.encode(short.here)) == short.here
