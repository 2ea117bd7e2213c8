"""Hosted pages are plain, safe, and work without a script."""

import re
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from services.advocacy.core.survey_kinds import SURVEY_KINDS
from services.advocacy.pages import rendering
from tests.core.advocacy.make import SHIPPED, day

NPS = SHIPPED.survey("nps")
REWARDS = SHIPPED.referrals.rewards
EVIL = '"><script>alert(1)</script>'


def survey(**values: object) -> str:
    assert NPS
    return rendering.survey("Acme", NPS, SURVEY_KINDS["nps"], day(14), **{"chosen": None, **values})


PAGES = {
    "survey": survey(chosen=9, comment=EVIL, error=EVIL),
    "thanks": rendering.thanks(EVIL, 9, day(14)),
    "closed": rendering.closed(EVIL, EVIL),
    "referral": rendering.referral(EVIL, REWARDS),
    "code": rendering.code(EVIL, EVIL, f"https://cs.example/{EVIL}", REWARDS),
    "declined": rendering.declined(EVIL, timedelta(days=180)),
}


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
    assert all((link["href"] or "").startswith("mailto:") for link in tags.of("a"))


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
    policy = rendering.HEADERS["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{allowed}';")
    assert rendering.HEADERS["Referrer-Policy"] == "no-referrer"


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
    page = rendering.referral("Acme", REWARDS)
    buttons = Tags(page).of("button")
    assert [button["value"] for button in buttons] == ["accept", "decline"]
    assert "50.00 EUR" in page
    assert "25.00 EUR" in page


def test_the_code_page_shows_code_and_link_to_copy():
    page = rendering.code("Acme", "ABC2DEF", "https://cs.example/r/ABC2DEF", REWARDS)
    (field,) = Tags(page).of("input")
    assert (field["value"], "readonly" in field) == ("https://cs.example/r/ABC2DEF", True)
    assert '<p class="code">ABC2DEF</p>' in page
    assert "https%3A//cs.example/r/ABC2DEF" in page
