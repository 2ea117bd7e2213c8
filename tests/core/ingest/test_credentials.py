"""Credentials: the write key of a request."""

import base64

import pytest

from services.ingest.core.segment import credentials_in_head


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ((basic("b:"), "q", "w"), "b"),
        ((basic(":"), "q", "w"), "q"),
        (("", "q", "w"), "q"),
        (("Bearer t", "", "w"), "w"),
        (("bearer  t ", "", ""), "t"),
        ((basic("b:"), "", ""), "b"),
        ((basic("bc").rstrip("="), "", ""), "bc"),
        (("", "", ""), ""),
        (("Basic", "", ""), ""),
        (("Basic ÿ", "", "w"), "w"),
        (("Basic !!!", "", "w"), "w"),
        (("Basic " + base64.b64encode(b"\xff").decode(), "", "w"), "w"),
        (("Digest b", "", ""), ""),
    ],
)
def test_the_first_place_that_names_a_key_names_it(given: tuple[str, str, str], key: str) -> None:
    authorization, query, body = given
    head = credentials_in_head(authorization, query)
    assert (head.deciding or body or head.bearer) == key
