"""Lists as files: a cell that begins like a formula is text, whoever chose it."""

import csv
import io

import pytest

from services.console.core.csv_export import BYTE_ORDER_MARK, column, heads, lines


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_a_name_that_begins_like_a_formula_is_text(begin: str):
    said = f'{begin}HYPERLINK("http://evil.example";"click")'
    [[written]] = csv.reader(io.StringIO(lines([column("name", "name")], [{"name": said}]), newline=""))
    assert written == f"'{said}"


def test_numbers_stay_numbers_and_what_is_missing_is_empty():
    columns = [column(name, name) for name in ("score", "none", "flags", "held", "name")]
    row = {"score": -1.5, "none": None, "flags": ["at_risk", "stalled"], "held": True, "name": 'a "quoted", one'}
    assert lines(columns, [row]) == '-1.5,,"at_risk, stalled",yes,"a ""quoted"", one"\r\n'
    assert heads(columns[:2]) == f"{BYTE_ORDER_MARK}score,none\r\n"


def test_the_head_of_a_list_of_parts_is_no_formula_either():
    assert lines([column("flags", "flags")], [{"flags": ["=1+1", "b"]}]) == '"\'=1+1, b"\r\n'


def test_names_with_values_are_parts_too():
    assert lines([column("details", "details")], [{"details": {"outcome": "called", "play": "save"}}]) == (
        '"outcome: called, play: save"\r\n'
    )
