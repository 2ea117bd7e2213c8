"""Greetings: whatever stands in a field "name", a mail greets nobody by their title, their id or in capitals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.names import customer_name, greeting_name, looks_like_id, person_name


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("Ann Ash", "Ann"),
        ("ann", "Ann"),
        ("JOHN SMITH", "John"),
        ("SMITH, JOHN", "John"),
        ("Smith, John, PhD", "John"),
        ("SMITH,", "Smith"),
        ("O'NEIL", "O'Neil"),
        ("jean-luc picard", "Jean-Luc"),
        ("JP", "JP"),
        ("McDonald", "McDonald"),
        ("Dr. Jane Roe", "Jane"),
        ("Dr. Roe", "Dr. Roe"),
        ("DR. ROE", "Dr. Roe"),
        ("Dr.Oetker", "Dr. Oetker"),
        ("Dr. J. Roe", "Dr. Roe"),
        ("Herr Dr. Thomas Müller", "Thomas"),
        ("Frau Müller", "Frau Müller"),
        ("J. Roe", "J. Roe"),
        ("F. Scott Fitzgerald", "Scott"),
        ("John Roe Jr.", "John"),
        ("Jane Roe, PhD", "Jane"),
        ("Don Draper", "Don"),
        ("van der Berg", "van der Berg"),
        ("de la Cruz, María", "María"),
        ("Robert (Bob) Roe", "Robert"),
        ('"Ann"', "Ann"),
        ("Ann.", "Ann"),
        ("Ann | Acme", "Ann"),
        ("Ann - Sales", "Ann"),
        ("Ann/Acme", "Ann"),
        ("😀 Ann", "Ann"),
        ("Ann🎉", "Ann"),
        ("Ann\u2026", "Ann"),
        ("Ng", "Ng"),
        ("Владимир", "Владимир"),
        ("נועם כהן", "נועם"),
        ("山田 太郎", "山田 太郎"),
        ("ნინო", "ნინო"),
    ],
)
def test_a_person_is_called_by_the_given_name_or_by_honorific_and_surname(name: str, called: str):
    assert greeting_name(name) == called


@pytest.mark.parametrize(
    "name",
    [
        *["", "   ", "...", "-", ",", "#1", "123", "Dr.", "Mr", "MS.", "Prof. Dr.", "A", "A.", "J. R."],
        *["<b>Ann</b>", "{{ first_name }}", "*|FNAME|*", "%%name%%", "Ann<br>"],
        *["s3-8f3k2", "u06501", "user_12", "auth|abcdef", "kjhgfdsx", "NffrFeUfNVxK", "550e8400-e29b-41d4-a716-446655440000"],
        *["ann@acme.test", "http://evil.test", "Admin", "n/a", "New User", "null", "TEST USER", "x" * 50, None, 7],
    ],
)  # fmt: skip
def test_what_names_nobody_greets_nobody(name: object):
    assert greeting_name(name) is None


@given(
    st.text(max_size=80)
    | st.lists(
        st.sampled_from(["Dr.", "SMITH", ",", "Ann", "J.", "-", "8f3k2", "PhD", "(x)", "/", "|"]), max_size=6
    ).map(" ".join)
)
def test_a_greeting_is_a_clean_name_with_a_letter_and_no_loose_comma(name: str):
    called = greeting_name(name)
    if called is not None:
        assert person_name(called) == called
        assert any(sign.isalpha() for sign in called)
        assert "," not in called
        assert not any(sign.isdigit() for sign in called)


@pytest.mark.parametrize(
    ("name", "account", "called"),
    [
        ("ACME GmbH", "x1", "ACME GmbH"),
        ("3M", "x1", "3M"),
        ("7-Eleven", "x1", "7-Eleven"),
        ("Studio54", "x1", "Studio54"),
        (None, "acme", "acme"),
        ("", "blue-ocean", "blue-ocean"),
        ("Booking.com", "x1", "Booking"),
        *[(name, "acme", None) for name in ("s3-8f3k2", "4711", "org_2Nf8", "550e8400-e29b-41d4-a716-446655440000")],
        ("visit http://evil.test now", "acme", None),
        *[(None, account, None) for account in ("s3-8f3k2", "u06501", "a1", "cus_NffrFeUfNV2", "deadbeefcafe", "xkcdqrst")],
        *[(name, "acme", None) for name in ("null", "N/A", "My Company", "Untitled", "-", "???", "\U0001f600", "{{ company }}", "<b>Acme</b>")],
        ("SMITH,", "x", "SMITH"), ("Test Ltd", "x", "Test Ltd"), ("B&B", "x", "B&B"), ("Yahoo!", "x", "Yahoo!"),
    ],
)  # fmt: skip
def test_a_customer_is_called_by_name_and_never_by_an_id(name: object, account: str, called: str | None):
    assert customer_name(name, account) == called


def test_the_names_of_firms_are_no_ids():
    assert [name for name in ("A1", "U2", "1&1", "H&M", "Area 51", "Forever21") if looks_like_id(name)] == []
