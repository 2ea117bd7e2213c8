"""A condition that is evaluated without CEL is decided as CEL would."""

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lifecycle.core.rules import format_value
from shared.contracts.evidence import Value
from shared.expr import Expr

VALUES = st.one_of(
    st.none(), st.booleans(), st.sampled_from(["", "pro", "x"]), st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, -1.5])
)
LITERALS = ["0.0", "1.0", "-1.5", "true", "false", '"pro"', "'x'"]


def by_cel(text: str, values: dict[str, Value]) -> object:
    try:
        return cel.compile(text).execute({name: value for name, value in values.items() if value is not None})
    except (RuntimeError, TypeError, ValueError):
        return None


@given(value=VALUES, operator=st.sampled_from([">=", "<=", "==", "!=", ">", "<"]), literal=st.sampled_from(LITERALS))
def test_a_plain_comparison_is_decided_as_cel_decides_it(value: Value, operator: str, literal: str):
    expr = Expr(f"a {operator} {literal}")
    assert expr.compare is not None
    assert expr.value({"a": value}) == by_cel(expr.text, {"a": value})


@given(
    a=VALUES,
    b=VALUES,
    text=st.sampled_from(["a / b", "a + b * 2.0", "(a - b) / 4.0", "a * a / b - 1.0", "a / b / 28.0"]),
)
def test_plain_arithmetic_gives_what_cel_gives(a: Value, b: Value, text: str):
    ours, theirs = Expr(text).value({"a": a, "b": b}), by_cel(text, {"a": a, "b": b})
    finite = isinstance(theirs, float) and abs(theirs) < float("inf")
    assert ours == (theirs if finite or isinstance(theirs, str) else None)


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ("seats >= 10", {"seats": "25"}, True),
        ("seats == 25", {"seats": "25.0"}, True),
        ("seats != 25", {"seats": "pro"}, True),
        ("seats >= 10", {"seats": "many"}, None),
        ("plan == '25'", {"plan": "25"}, True),
        ("used / seats", {"used": 5.0, "seats": "25"}, 0.2),
        ("used / seats", {"used": 5.0, "seats": "many"}, None),
    ],
)
def test_a_text_against_a_number_is_the_number_it_writes(text: str, values: dict[str, Value], result: Value):
    assert Expr(text).value(values) == result


@pytest.mark.parametrize(("text", "strict"), [("a / b", True), ("a > 1 || b > 1", False), ("a > 1 ? b : 2", False)])
def test_an_expression_says_whether_one_unknown_makes_it_unknown(text: str, strict: bool):
    assert Expr(text).strict is strict


def test_an_or_holds_where_one_side_is_unknown_and_the_other_true():
    assert Expr("a > 1 || b > 1").holds({"a": None, "b": 2.0})
    assert not Expr("a > 1 || b > 1").holds({"a": None, "b": 0.0})


@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        (None, "", "unknown"),
        (True, "", "yes"),
        (3.0, "", "3"),
        (0.8333, "", "0.83"),
        (0.8333, ".0%", "83%"),
        ("pro", ".0%", "pro"),
    ],
)
def test_values_are_told_as_a_person_writes_them(value: Value, spec: str, text: str):
    assert format_value(value, spec) == text
