"""Signed links: nobody else can make, change or reuse one."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.links import BadLink, Links

NOW = datetime(2025, 3, 3, 12, tzinfo=UTC)
LINKS = Links(b"the secret of this installation")
SUBJECT = {"account": "acme", "user": "u1"}


def test_a_link_says_whom_it_is_about():
    token = LINKS.sign("unsubscribe", SUBJECT)
    assert token.startswith("v1.")
    assert len(token.split(".")) == 4
    assert LINKS.read("unsubscribe", token, NOW) == SUBJECT


def test_the_same_link_twice_is_the_same():
    assert LINKS.sign("unsubscribe", {"user": "u1", "account": "acme"}) == LINKS.sign("unsubscribe", SUBJECT)


def test_a_link_of_one_purpose_is_none_of_another():
    with pytest.raises(BadLink):
        LINKS.read("survey", LINKS.sign("unsubscribe", SUBJECT), NOW)


def test_a_link_ends_when_it_expires_and_only_then():
    token = LINKS.sign("survey", SUBJECT, NOW)
    assert LINKS.read("survey", token, NOW - timedelta(seconds=1)) == SUBJECT
    with pytest.raises(BadLink) as expired:
        LINKS.read("survey", token, NOW)
    assert expired.value.expired


def test_a_link_without_an_end_is_good_in_ten_years():
    assert LINKS.read("unsubscribe", LINKS.sign("unsubscribe", SUBJECT), NOW + timedelta(days=3650)) == SUBJECT


def test_an_older_secret_is_still_read_and_no_longer_signs():
    new = Links(b"a new secret, put in front", b"the secret of this installation")
    assert new.read("unsubscribe", LINKS.sign("unsubscribe", SUBJECT), NOW) == SUBJECT
    with pytest.raises(BadLink):
        LINKS.read("unsubscribe", new.sign("unsubscribe", SUBJECT), NOW)


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_a_link_with_one_character_changed_is_no_link(place: int, sign: str):
    token = LINKS.sign("unsubscribe", SUBJECT)
    place %= len(token)
    changed = token[:place] + sign + token[place + 1 :]
    if changed != token:
        with pytest.raises(BadLink):
            LINKS.read("unsubscribe", changed, NOW)


@given(st.text())
def test_any_text_is_no_link(text: str):
    with pytest.raises(BadLink):
        LINKS.read("unsubscribe", text, NOW)


@pytest.mark.parametrize("token", ["", "...", "v1...", "v1.a.b.c", "v2.x.y.z", "v1." + "x" * 5000 + ".y.z", "v1.é.b.c"])
def test_odd_texts_are_no_links(token: str):
    with pytest.raises(BadLink):
        LINKS.read("unsubscribe", token, NOW)


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        Links(b"short")
