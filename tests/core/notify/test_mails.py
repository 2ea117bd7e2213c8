"""Every shipped mail, with all data and with none: what it promises is in it, in both of its parts."""

import re
from collections import Counter
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from services.notify.channels.email import wrapped
from services.notify.channels.table import CHANNELS
from services.notify.core.playbook import Play, Step
from services.notify.core.state import TRANSACTIONAL
from services.notify.definition import Definition, lifecycle_names, load_plays
from services.notify.rendering import Rendered
from shared.contracts.evidence import Value
from shared.definitions import DefinitionError
from tests.brand import branded_config

URL = re.compile(r"https?://[^\s<>\"]+")
LONG = "v1.0123abcd." + "x" * 140
ASKED: dict[str, Value] = {"link": f"https://success.example.com/advocacy/s/{LONG}", "today": "2026-11-28"}
ALWAYS: dict[str, Value] = {
    **ASKED,
    "unsubscribe_link": f"https://success.example.com/notify/u/{LONG}",
    "stage": "adoption",
    "band": "green",
}
BARE: dict[str, Value] = {**ALWAYS, "account_name": "your company", "first_name": "there"}
RICH: dict[str, Value] = {
    **ALWAYS,
    "account_name": "Blue Ocean Logistics",
    "company_name": "Blue Ocean Logistics",
    "first_name": "Maximiliane",
    "csm_name": "Maren Solheim",
    "ask_question": "How likely are you to recommend us?",
    "ask_reward_referrer": "€50.00",
    "ask_reward_referred": "€25.00",
    "seats": 50.0,
    "active_users_28d": 42.0,
    "active_days_28d": 18.0,
    "before_active_users_28d": 30.0,
    "seat_utilisation": 0.84,
    "before_seat_utilisation": 0.6,
    "before_date": "2026-08-12",
    "value_events_28d": 12.0,
    "before_value_events_28d": 3.0,
    "features_28d": 4.0,
    "before_features_28d": 3.0,
    "entitled_features": 12.0,
    "days_in_stage": 30.0,
    "tenure_days": 400.0,
    "days_to_renewal": 28.0,
    "days_since_core_use": 15.0,
    "required_milestones_missing": 2.0,
    "gated_users_14d": 2.0,
    "unpaid_invoices": 2.0,
    "unpaid_amount": 1188.5,
    "unpaid_currency": "EUR",
    "core_trend": -0.5,
    "score": 72.0,
    "reached_first_use": "2026-10-01",
    "reached_integration_connected": "2026-10-05",
    "reached_first_value": "2026-10-20",
}
RIGHT_TO_LEFT = RICH | {"account_name": "חברת השילוח בע״מ", "company_name": "חברת השילוח בע״מ", "first_name": "נועם"}
NONE = {name: 0.0 if isinstance(value, float) else value for name, value in RICH.items()}
DATA = {"rich": RICH, "bare": BARE, "right to left": RIGHT_TO_LEFT, "nothing happened": NONE}
CERTAIN: dict[str, Value] = {"limit_used": 0.85, "gated_attempts_14d": 4.0, "seats": 50.0, "active_users_28d": 42.0}
"""What the plays' own conditions make sure of, and what their texts need."""


class Mail(NamedTuple):
    play: Play
    step: Step
    message: Rendered
    words: str
    buttons: list[tuple[str, str]]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Definition:
    config = branded_config(tmp_path_factory.mktemp("mails"))
    return load_plays(config, CHANNELS.traits, lifecycle_names(config / "lifecycle.yaml"))


@pytest.fixture(scope="module", params=DATA)
def mails(company: Definition, request: pytest.FixtureRequest) -> list[Mail]:
    return mails_with(company, DATA[request.param])


def mails_with(company: Definition, data: Mapping[str, Value]) -> list[Mail]:
    """Every mail that a play can send, written with these values."""
    return [_mail(company, play, step, data) for play, step in _mail_steps(company)]


def _mail_steps(company: Definition) -> list[tuple[Play, Step]]:
    plays = company.playbook.plays.values()
    return [(play, step) for play in plays for step in play.steps if step.channel and step.channel.name == "email"]


def _mail(company: Definition, play: Play, step: Step, data: Mapping[str, Value]) -> Mail:
    templates = company.templates
    certain = {name: CERTAIN[name] for name in templates.names(step.template) if name in CERTAIN}
    known = {**certain, **data} if data is not NONE else {**data, **certain}
    footer = step.channel is not None and step.channel.needs_footer(play.class_ == TRANSACTIONAL)
    message = templates.render(step.template, known | company.company, subject=step.subject, footer=footer)
    page = _Page()
    page.feed(message.html)
    return Mail(play, step, message, " ".join("".join(page.words).split()), page.links)


class _Page(HTMLParser):
    """The words of a page and its links, as a reader sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[tuple[str, str]] = []
        self._hidden = 0
        self._href = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in {"style", "title", "head"}
        if tag in {"div", "li", "br", "td", "a"}:
            self.words.append(" ")
        if tag == "a":
            self._href = dict(attrs).get("href") or ""
            self.links.append((self._href, ""))

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"style", "title", "head"}
        self._href = "" if tag == "a" else self._href

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self.words.append(data)
        if self._href:
            href, words = self.links[-1]
            self.links[-1] = (href, words + data)


def test_there_is_a_mail_for_every_occasion(mails: list[Mail]):
    assert len(mails) >= 30


def test_no_mail_shows_an_address_of_a_page_where_it_has_a_link(mails: list[Mail]):
    assert [mail.step.name for mail in mails if URL.search(mail.words) or "www." in mail.words] == []


def test_both_parts_say_the_same(mails: list[Mail]):
    for mail in mails:
        plain = URL.sub("", mail.message.text.replace("\u2068", "").replace("\u2069", ""))
        plain = plain.translate(dict.fromkeys(map(ord, "()<>:"), " "))
        seen = mail.words.replace(":", " ").replace("(", " ").replace(")", " ")
        counted = Counter(plain.split()) - Counter({"-": 99, "--": 99})
        assert Counter(seen.split()) - Counter(["Our", "Product"]) == counted, mail.step.name  # the wordmark
        assert {href for href, _ in mail.buttons} == set(URL.findall(mail.message.text)), mail.step.name


def test_every_link_has_words_and_a_whole_address(mails: list[Mail]):
    for mail in mails:
        assert all(words.strip() and URL.fullmatch(href) for href, words in mail.buttons), mail.step.name


def test_no_sentence_ends_in_nothing(mails: list[Mail]):
    for mail in mails:
        blocks = [block.strip() for block in mail.message.text.split("\n\n")]
        for block, following in zip(blocks, [*blocks[1:], ""], strict=True):
            announced = block.endswith(":")
            assert not announced or URL.search(following) or following.startswith("- ") or _goes_on(following), (
                mail.step.name,
                block,
            )
        for said in (mail.message.subject, *blocks):
            assert not re.search(r" [,.;:!?]|,,|\.\.| {2}|\bNone\b|\{\{|\(\)", said), (mail.step.name, said)
            assert not re.match(r"[,.;:!?]", said), (mail.step.name, said)


def _goes_on(following: str) -> bool:
    """A colon may lead over to the question in the next paragraph."""
    return following[:1].islower() and not following.startswith("your customer")


def test_no_line_of_the_text_is_wider_than_a_screen_of_text(mails: list[Mail]):
    for mail in mails:
        lines = wrapped(mail.message.text).split("\n")
        assert [line for line in lines if len(line) > 76 and not URL.search(line)] == []


def test_no_word_of_the_page_is_wider_than_a_phone(mails: list[Mail]):
    assert [word for mail in mails for word in mail.words.split() if len(word) > 30] == []


def test_a_mail_that_wants_something_done_has_the_button_for_it(mails: list[Mail]):
    wanted = {
        "review_ask_mail": "https://reviews.example.com/our-product",
        "case_study_mail": "https://www.example.com/customers/blue-ocean",
        "payment_failed_mail": "https://app.example.com/billing",
        "payment_failed_last": "https://app.example.com/billing",
        "seat_expansion_mail": "https://app.example.com/plans",
        "limit_approach_mail": "https://app.example.com/plans",
        "welcome_invite_team": "https://app.example.com/people",
        "low_utilisation_mail": "https://app.example.com/people",
        "referral_invite_mail": ASKED["link"],
    }
    found = {mail.step.template: {href for href, _ in mail.buttons} for mail in mails}
    assert {name for name, href in wanted.items() if href not in found[name]} == set()


def test_a_survey_has_a_button_for_each_score_which_only_chooses_it(mails: list[Mail]):
    found = {mail.step.template: [link for link in mail.buttons if "score=" in link[0]] for mail in mails}
    for template, scores in (("nps_invite_mail", range(11)), ("csat_invite_mail", range(1, 6))):
        assert found[template] == [(f"{ASKED['link']}?score={score}", str(score)) for score in scores]


def test_marketing_mail_lets_people_go_with_one_link_and_a_bill_does_not(mails: list[Mail]):
    for mail in mails:
        ways_out = [words for href, words in mail.buttons if href == ALWAYS["unsubscribe_link"]]
        assert ways_out == ([] if mail.play.class_ == TRANSACTIONAL else ["Unsubscribe"]), mail.step.name
        assert "Example Ltd, 1 Example Street" in mail.words


def test_a_mail_is_made_for_phones_for_the_night_and_for_screen_readers(mails: list[Mail]):
    for mail in mails:
        html = mail.message.html
        assert '<html lang="en" dir="ltr"' in html
        assert 'name="viewport" content="width=device-width' in html
        assert "prefers-color-scheme: dark" in html
        assert all("role" in table for table in re.findall(r"<table[^>]*>", html))
        assert "@import" not in html
        assert len(html) < 20_000  # Gmail cuts what is longer than 102 kB
        assert "@@" not in html


def text_of(company: Definition, template: str, **data: Value) -> Rendered:
    play, step = next(one for one in _mail_steps(company) if one[1].template == template)
    return _mail(company, play, step, BARE | data).message


def test_a_bill_says_how_much_where_that_is_known(company: Definition):
    one = text_of(company, "payment_failed_mail", unpaid_invoices=1.0, unpaid_amount=99.0, unpaid_currency="EUR")
    assert "the last invoice of your company, €99.00, could not be charged. Most often" in one.text
    two = text_of(company, "payment_failed_mail", unpaid_invoices=2.0, unpaid_amount=198.0, unpaid_currency="USD")
    assert "2 invoices of your company, $198.00 in all, could not be charged. Most often" in two.text
    assert "the last invoice of your company could not be charged." in text_of(company, "payment_failed_mail").text
    last = text_of(company, "payment_failed_last", unpaid_invoices=2.0, unpaid_amount=198.0, unpaid_currency="USD")
    assert "$198.00 are open on 2 invoices." in last.text


def test_seats_run_out_only_where_they_do(company: Definition):
    full = text_of(company, "seat_expansion_mail", seats=10.0, active_users_28d=10.0)
    assert full.subject == "Every seat at your company is taken"
    assert "room for" not in full.text
    free = text_of(company, "seat_expansion_mail", seats=50.0, active_users_28d=42.0)
    assert free.subject == "Your company: 42 of 50 seats in use"
    assert "room for 8 more people" in free.text
    assert "running out" not in free.subject + free.text


def test_whoever_left_is_not_told_that_they_work_with_it(company: Definition):
    assert (
        "You get this because you worked with Our Product" in text_of(company, "winback_mail_30", stage="churned").text
    )
    assert "You get this because you work with Our Product" in text_of(company, "welcome_hello").text


def test_a_year_without_use_is_not_announced_as_what_it_brought(company: Definition):
    unused = text_of(company, "renewal_75_mail", active_users_28d=0.0, value_events_28d=0.0)
    assert unused.subject == "Your next year with Our Product"
    used = text_of(company, "renewal_75_mail", active_users_28d=3.0)
    assert used.subject == "What Our Product has brought your company"


def test_nobody_is_told_that_they_finished_a_set_up_of_which_steps_are_missing(company: Definition):
    told = text_of(company, "adoption_checkin_mail", active_users_28d=8.0, required_milestones_missing=2.0)
    assert "finished" not in told.text + told.subject


def test_what_has_been_achieved_is_numbers_that_are_some_beside_those_of_before(company: Definition):
    report = text_of(
        company,
        "roi_report_mail",
        value_events_28d=0.0,
        active_users_28d=8.0,
        before_active_users_28d=9.0,
        before_date="2026-08-12",
    ).text
    assert "as of 28 November 2026 and, for comparison, of 12 August 2026:" in report
    assert "- People who worked with it in that time: 8 (before: 9)" in report
    assert "Results" not in report


def test_a_team_that_uses_no_feature_is_not_told_how_many(company: Definition):
    told = text_of(company, "feature_tip_mail", features_28d=0.0, entitled_features=6.0).text
    assert "0 of" not in told
    assert "1 of the 6" in text_of(company, "feature_tip_mail", features_28d=1.0, entitled_features=6.0).text


def test_what_stands_below_a_mail_is_marked_as_mail_programs_know_it(company: Definition):
    assert "-- " in wrapped(text_of(company, "welcome_hello").text).split("\n")


def test_a_limit_that_is_passed_is_not_announced_as_one_to_come(company: Definition):
    assert "before it becomes urgent" in text_of(company, "limit_approach_mail", limit_used=0.9).text
    assert "before it becomes urgent" not in text_of(company, "limit_approach_mail", limit_used=1.2).text


def test_who_has_no_name_is_welcomed_without_one(company: Definition):
    assert text_of(company, "welcome_hello").subject == "Welcome to Our Product"
    assert text_of(company, "welcome_hello", company_name="Acme").subject == "Welcome to Our Product, Acme"


def test_a_text_that_reads_a_link_of_the_brand_says_that_it_needs_it(
    tmp_path: Path,
):
    config = branded_config(tmp_path)
    file = config / "templates" / "review_ask_mail.md.j2"
    file.write_text(file.read_text("utf8").replace("Needs: reviews_url\n", ""), "utf8")
    with pytest.raises(DefinitionError, match=r"'reviews_url' is undefined.* or name it in 'Needs:'"):
        load_plays(config, CHANNELS.traits, lifecycle_names(config / "lifecycle.yaml"))
