"""Names: what a customer chose to be called carries no link, no domain and nothing invisible into a message of ours."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.names import MAX_COMPANY, MAX_PERSON, company_name, person_name, plain_text

REAL = [
    "J.P. Morgan",
    "St. Mary's",
    "Dr. No",
    "O'Neil",
    "C. S. Lewis",
    "John Smith Jr.",
    "Mærsk A/S",
    "AC/DC",
    "AT&T",
    "Yahoo!",
    "Foo e.V.",
    "S.p.A. Foo",
    "U.S.A.",
    "Smith & Sons (U.K.) Ltd.",
    "No.1 Traveller",
    "Plan 2.5",
    "Zoë 🎉",
    "👩‍👩‍👧 Club",
    "می‌خواهم",
    "株式会社メルカリ",
    "モーニング娘。",
    "उदाहरण",
    "Владимир",
    "נועם",
]


@pytest.mark.parametrize("name", REAL)
def test_real_names_stay_as_they_are(name: str):
    assert (person_name(name), company_name(name), plain_text(name)) == (name, name, name)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Booking.com", "Booking"),
        ("Amazon.com, Inc.", "Amazon, Inc."),
        ("free-money.example", "free-money"),
        ("пример.рф", "пример"),
        ("evil.\u200bcom", "evil"),
        ("evil.co\u00adm", "evil"),
        ("\u202eevil.moc", "evil"),
        ("evil.\u2028com", "evil. com"),
        ("Acme\r\nBcc: x", "Acme Bcc: x"),
        ("Dr.Oetker", "Dr. Oetker"),
        ("Müller GmbH & Co.KG", "Müller GmbH & Co. KG"),
        ("X.AI", "X. AI"),
    ],
)
def test_a_company_called_like_its_domain_is_called_by_the_first_half(name: str, shown: str):
    assert company_name(name) == shown


TRICKS = [
    "Hello free-money.example visit http://free-money.example/now",
    "http://evil.test",
    "hxxp://evil",
    "//evil.test/x",
    "https:evil",
    "javascript:alert(1)",
    "mailto:a@b.test",
    "tel:+123",
    "www.evil",
    "win at t.me/scam",
    "evil.com:8080",
    "evil.com?x=1",
    "ann@evil.test",
    "login.paypal.example",
    "a.b.c.d.example",
    "evil\u3002com",
    "evil\uff0ecom",
    "evil\uff61com",
    "evil\u2024com",
    "\uff45\uff56\uff49\uff4c\uff0e\uff43\uff4f\uff4d",
    "evil\u3002\u200dcom",
    "xn--80ak6aa92e.com",
    "evil.xn--p1ai",
    "evil.x\u200dn--p1ai",
    "1.2.3.4",
    "=?utf-8?q?evil=2Ecom?=",
    "",
    " \u200b\u202e ",
    "\u3164\u2800",
    "...",
    "x" * 301,
]


@pytest.mark.parametrize("name", TRICKS)
def test_what_carries_a_link_or_shows_nothing_is_no_name(name: str):
    assert (person_name(name), company_name(name), plain_text(name)) == (None, None, None)


@pytest.mark.parametrize("name", ["Booking.com", "free-money.example", "Ann evil.example", "пример.рф", "x" * 61])
def test_no_person_is_called_like_a_domain(name: str):
    assert person_name(name) is None


@pytest.mark.parametrize("name", [None, 7, True, ["a"], {"a": 1}])
def test_what_is_no_text_is_no_name(name: object):
    assert person_name(name) is None


PIECES = st.sampled_from(
    [
        *"abcdABCD0189 -_'&,@/:?#\\.\u3002\uff0e\uff61\u2024\u06d4",
        *"\u200b\u200c\u200d\u2060\ufeff\u00ad\u202e\u202d\u2066\u2069\u200e\u200f\u061c\ufe0f\u034f\u3164",
        *"\r\n\t\x00\x1b\x7f\x85\u2028\u2029\U000e0041",
        *"日本語примермирעבש🎉👩",
        *[
            "com",
            "example",
            "www.",
            "http://",
            "xn--",
            "=?",
            "Dr.",
            "Co.KG",
            "evil.com",
            "\uff43\uff4f\uff4d",
            "Oetker",
        ],
    ]
)
NAMES = st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=100))
DOMAIN = re.compile(r"[^\W_]\.(?!\d)(?:[^\W_]|-){2,}")
"""What mail programs make a link of, written apart from the rule that is tested."""
READ_AS_DOT = str.maketrans(dict.fromkeys("\u3002\u06d4\uff61\uff0e\u2024", "."))


@given(NAMES)
@example("evil.c\u0307om")
@example("a\u200d.\u200dcom")
def test_whatever_somebody_is_called_no_message_of_ours_carries_a_link_or_a_hidden_character(name: str):
    for shown, most in ((person_name(name), MAX_PERSON), (company_name(name), MAX_COMPANY), (plain_text(name), 300)):
        if shown is None:
            continue
        assert 0 < len(shown) <= most
        assert shown == shown.strip()
        assert not {unicodedata.category(sign) for sign in shown.replace("\u200d", "").replace("\u200c", "")} & {
            "Cc",
            "Cf",
            "Cs",
            "Co",
            "Cn",
            "Zl",
            "Zp",
        }
        for read in (shown, unicodedata.normalize("NFKC", shown).translate(READ_AS_DOT)):
            assert not DOMAIN.search(read)
            assert "://" not in read
            assert "xn--" not in read.lower()
            assert "=?" not in read


@given(NAMES)
def test_a_name_that_was_cleaned_stays_as_it_is(name: str):
    for clean in (person_name, company_name, plain_text):
        once = clean(name)
        assert once is None or clean(once) == once
