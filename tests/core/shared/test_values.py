"""What customers' tools send is read in one way, or not at all."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.values import (
    MAX_NUMBER,
    read_boolean,
    read_minor_units,
    read_number,
    read_score,
    read_time,
)

NPS = range(11)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (25, 25), (25.0, 25), ("25", 25), (" 25 ", 25), ("49.00", 49), ("49,00", 49), ("49.5", 49.5), ("-3", -3), ("+3", 3),
        ("1e3", 1000), (".5", 0.5), ("1.234", 1.234), ("1,234.50", 1234.5), ("1.234,50", 1234.5), ("1,234,567", 1234567),
        ("1.234.567", 1234567), ("1 234,50", 1234.5), ("1\u202f234", 1234), ("1'234.50", 1234.5), ("007", 7),
    ],
)  # fmt: skip
def test_a_number_is_read_whichever_way_it_is_written(value: object, number: float) -> None:
    assert read_number(value) == number


@pytest.mark.parametrize(
    "value",
    [None, True, False, "", "abc", "1,234", "12,34,56", "1.2.3", "50%", "$5", "NaN", "inf", "١٢", "0x1f", "1_000", [5],
     {}, float("nan"), float("inf"), 10**400, 2e15, "1e300", "9" * 65],
)  # fmt: skip
def test_what_is_no_number_or_could_be_two_is_unreadable(value: object) -> None:
    assert read_number(value) is None


@given(st.integers(-(10**15), 10**15) | st.floats(-MAX_NUMBER, MAX_NUMBER))
def test_a_number_and_its_text_are_the_same_number(number: float) -> None:
    assert read_number(str(number)) == read_number(number) == number


@pytest.mark.parametrize(("value", "score"), [(9, 9), (9.0, 9), ("9", 9), (" 10 ", 10), (0, 0), ("9.0", 9)])
def test_a_score_is_read_from_number_and_text_alike(value: object, score: int) -> None:
    assert read_score(value, NPS) == score


@pytest.mark.parametrize("value", [11, 100, -1, 8.5, "8.5", True, None, "nine", "11", "1e1", "00009", [9]])
def test_what_is_not_on_the_scale_is_no_score(value: object) -> None:
    assert read_score(value, NPS) is None


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("49.00", "EUR", 4900), (49, "eur", 4900), (5000, "JPY", 5000), ("1.5", "KWD", 1500), (0.1 + 0.2, "USD", 30),
        ("5000", "JPY", 5000), (-2.5, "GBP", -250), ("1.234,50", "EUR", 123450),
    ],
)  # fmt: skip
def test_money_is_counted_in_the_minor_units_of_its_currency(amount: object, currency: str, minor: int) -> None:
    assert read_minor_units(amount, currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"), [(49, None), (49, "euro"), (0.5, "JPY"), ("49.005", "USD"), ("x", "USD")]
)
def test_money_that_its_currency_cannot_express_is_unreadable(amount: object, currency: object) -> None:
    assert read_minor_units(amount, currency) is None


@pytest.mark.parametrize(
    "value",
    [
        "2027-06-01", "2027-06-01T00:00:00Z", "2027-06-01T02:00:00+02:00", "2027-06-01T00:00:00.000", "20270601",
        "2027/06/01", 1811808000, 1811808000.0, 1811808000000, "1811808000", "1811808000000", " 2027-06-01 ",
    ],
)  # fmt: skip
def test_a_date_is_read_as_iso_or_since_1970(value: object) -> None:
    assert read_time(value) == datetime(2027, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [None, True, "", "01/06/2027", "6/1/27", "soon", "2027-13-01", 1e300, float("nan"), float("inf"), [], {}]
)
def test_a_date_that_could_be_two_or_none_is_unreadable(value: object) -> None:
    assert read_time(value) is None


@pytest.mark.parametrize("value", [True, "true", "TRUE", "Yes", "y", "on", "1", 1, 1.0, " t "])
def test_every_usual_yes_is_a_yes(value: object) -> None:
    assert read_boolean(value) is True


@pytest.mark.parametrize("value", [False, "false", "FALSE", "No", "n", "off", "0", 0, 0.0, -0.0 + 0, " f "])
def test_every_usual_no_is_a_no(value: object) -> None:
    assert read_boolean(value) is False


@pytest.mark.parametrize("value", [2, "maybe", None, "", [], {}, [True], float("nan")])
def test_what_is_neither_is_unreadable(value: object) -> None:
    assert read_boolean(value) is None


@given(JSON)
def test_every_reader_takes_every_json(value: Any) -> None:
    for read in (read_number, read_time, read_boolean):
        read(value)
    assert read_score(value, NPS) in {None, *NPS}
    assert read_minor_units(value, value) is None or isinstance(value, str)
