"""Status machines: what may follow stands in a table that is complete, and nothing else happens."""

from typing import Literal, get_args

import pytest

from shared.machine import IllegalTransition, StatusMachine

Door = Literal["open", "closed", "walled_up"]
DOOR: StatusMachine[Door] = StatusMachine(
    "door", get_args(Door), {"open": {"closed"}, "closed": {"open", "walled_up"}, "walled_up": ()}
)


def test_what_the_table_allows_happens_and_what_it_does_not_is_refused() -> None:
    assert DOOR.transition("closed", "walled_up") == "walled_up"
    with pytest.raises(IllegalTransition, match="a door that is walled_up cannot become open"):
        DOOR.transition("walled_up", "open")


def test_the_table_says_what_is_final_and_what_stands_before() -> None:
    assert DOOR.final == {"walled_up"}
    assert DOOR.before("open") == {"closed"}


def test_a_status_that_is_forgotten_or_unknown_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="lacks walled_up"):
        StatusMachine("door", get_args(Door), {"open": {"closed"}, "closed": {"open"}})
    with pytest.raises(ValueError, match="ajar"):
        StatusMachine("door", get_args(Door), {"open": {"ajar"}, "closed": (), "walled_up": ()})
