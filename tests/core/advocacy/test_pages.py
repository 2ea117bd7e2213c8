"""Hosted pages are plain, safe, and work without a script."""

import re
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from services.advocacy.core.asks import first_name
from services.advocacy.core.referral import Code, signup_address
from services.advocacy.core.survey_kinds import SURVEY_KINDS
from services.advocacy.pages import rendering
from shared.brand import Brand
from shared.hosted import hosted_brand
from tests.core.advocacy.make import SHIPPED, day

NPS = SHIPPED.survey("nps")
REWARDS = SHIPPED.referrals.rewards
EVIL = '"><script>alert(1)</script>'
COMPANY, ACME = (
    hosted_brand(Brand(name=name, sender="x", app_url="https://app.example", address="x")) for name in (EVIL, "Acme")
)
ABOUT = replace(SHIPPED.referrals, about=EVIL)
CODE = Code(code="ABC2DEF", account="acme", user="ann", issued_at=day(0))


def survey(**values: object) -> str:
    assert NPS
    return rendering.survey(ACME, NPS, SURVEY_KINDS["nps"], day(14), **{"chosen": None, **values})


PAGES = {
    "survey": survey(chosen=9, comment=EVIL, error=EVIL),
    "thanks": rendering.thanks(COMPANY, 9, day(14)),
    "closed": rendering.closed(COMPANY, EVIL, known=True),
    "unknown": rendering.closed(COMPANY, EVIL, known=False),
    "ended": rendering.ended(COMPANY, "https://app.example/join"),
    "landing": rendering.landing(COMPANY, replace(CODE, shown_name=EVIL), ABOUT, "https://app.example/join", "/own"),
    "landing without an address": rendering.landing(COMPANY, CODE, ABOUT, "", ""),
    "page mailed": rendering.page_mailed(COMPANY),
    "referral": rendering.referral(COMPANY, REWARDS, EVIL),
    "code": rendering.code(COMPANY, EVIL, f"https://cs.example/{EVIL}", REWARDS, EVIL, named=True),
    "declined": rendering.declined(COMPANY, timedelta(days=180)),
    "opted out": rendering.opted_out(COMPANY),
}
OUTWARD = "https://app.example/join"
"""The one address outside that a page may lead to: the company's sign-up."""


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


@pytest.mark.parametrize("name", PAGES)
def test_no_page_runs_a_script_or_asks_anything_of_anybody(name: str):
    tags = Tags(PAGES[name])
    assert not {tag for tag, _ in tags.found} & {"script", "img", "link", "iframe", "object", "embed"}
    assert not [key for _, attributes in tags.found for key in attributes if key.startswith("on") or key == "style"]
    assert all((link["href"] or "").startswith(("mailto:", OUTWARD)) for link in tags.of("a"))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_a_language_a_title_a_main_and_fits_a_telephone(name: str):
    page, tags = PAGES[name], Tags(PAGES[name])
    assert tags.of("html") == [{"lang": "en"}]
    assert len(tags.of("main")) == 1
    assert re.search(r"<title>.+</title>", page)
    assert "width=device-width" in page


@pytest.mark.parametrize("name", PAGES)
def test_the_policy_allows_exactly_the_style_on_the_page(name: str):
    (style,) = re.findall(r"<style>(.*?)</style>", PAGES[name], re.DOTALL)
    allowed = b64encode(sha256(style.encode()).digest()).decode()
    policy = COMPANY.headers["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{allowed}';")
    assert COMPANY.headers["Referrer-Policy"] == "no-referrer"


def test_the_survey_has_a_labelled_radio_button_for_each_score_and_posts():
    tags = Tags(survey())
    radios = [field for field in tags.of("input") if field["type"] == "radio"]
    assert [field["value"] for field in radios] == [str(score) for score in range(11)]
    assert all("required" in field for field in radios)
    assert tags.of("form") == [{"method": "post"}]
    assert tags.of("legend")
    assert tags.of("textarea")[0]["maxlength"] == "2000"


@pytest.mark.parametrize(("chosen", "checked"), [(None, []), (0, ["0"]), (9, ["9"])])
def test_a_suggested_score_is_shown_as_chosen(chosen: int | None, checked: list[str]):
    radios = Tags(survey(chosen=chosen)).of("input")
    assert [field["value"] for field in radios if "checked" in field] == checked


def test_a_refused_answer_comes_back_with_its_reason_and_what_was_written():
    page = survey(chosen=9, comment="<b>long</b>", error="Too long.")
    assert '<p class="error" role="alert">Too long.</p>' in page
    assert "&lt;b&gt;long&lt;/b&gt;</textarea>" in page


def test_the_referral_page_says_what_both_get_and_offers_both_answers():
    page = rendering.referral(ACME, REWARDS, "Ann")
    buttons = Tags(page).of("button")
    assert [button["value"] for button in buttons] == ["accept", "decline", "never"]
    assert "€50.00" in page
    assert "€25.00" in page


def test_the_code_page_shows_code_and_link_to_copy():
    page = rendering.code(ACME, "ABC2DEF", "https://cs.example/r/ABC2DEF", REWARDS, "", named=False)
    (field,) = Tags(page).of("input")
    assert (field["value"], "readonly" in field) == ("https://cs.example/r/ABC2DEF", True)
    assert '<p class="code">ABC2DEF</p>' in page
    assert "https%3A//cs.example/r/ABC2DEF" in page


def test_the_landing_page_says_what_the_friend_gets_and_has_one_button_that_keeps_the_code():
    page = rendering.landing(ACME, CODE, SHIPPED.referrals, signup_address(OUTWARD + "?plan=pro", CODE.code), "")
    assert [link["href"] for link in Tags(page).of("a")] == [f"{OUTWARD}?plan=pro&referral_code=ABC2DEF"]
    assert Tags(page).of("form") == []
    assert "€25.00" in page
    assert "€50.00" not in page
    assert "Somebody you know recommends Acme" in page


def test_a_friend_reads_the_name_of_who_agreed_to_it_and_what_the_product_is():
    told = replace(SHIPPED.referrals, about="Reports that write themselves.")
    page = rendering.landing(ACME, replace(CODE, shown_name="Ann"), told, OUTWARD, "")
    assert "Ann recommends Acme" in page
    assert "Reports that write themselves." in page


@pytest.mark.parametrize(
    ("full", "name"),
    [
        ("Ann Lee", "Ann"),
        ("Dr. SMITH", ""),
        ("Admin", ""),
        ("Test User", ""),
        ("SMITH, Ann", "Ann"),
        ("prof dr Jean-Luc Picard", "Jean-Luc"),
        ("Ali, ", "Ali"),
        ("\u738b\u5c0f\u660e", "\u738b\u5c0f\u660e"),
        ("s3-8f3k2", ""),
        ("ann@acme.example", ""),
        ("", ""),
    ],
)
def test_a_first_name_is_a_name_or_nothing(full: str, name: str):
    assert first_name(full) == name
