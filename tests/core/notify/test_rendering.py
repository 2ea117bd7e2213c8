"""Rendering: texts say what they should, and nothing in them can do harm."""

import re

import pytest

from services.notify.mail_design import MailDesign
from services.notify.rendering import OUTPUT_LIMIT, SOURCE_LIMIT, RenderError, TemplateMistake, Templates
from shared.brand import Brand, contrast, readable

HEAD = "Subject: Hello {{ name }}\n\n"
FOOTER = "Subject: -\n\nStop: {{ unsubscribe_link }}\n"


def text(body: str, **values: str | float) -> str:
    return Templates({"t": HEAD + body}).render("t", {"name": "Ann"} | values).text


def test_a_template_becomes_subject_text_and_html():
    templates = Templates({"t": HEAD + "Hi {{ name }},\n\n- one\n- two\n\n{{ app_url }}\n"})
    message = templates.render("t", {"name": "Ann", "app_url": "https://app.test/?a=1&b=2"})
    assert message.subject == "Hello Ann"
    assert message.text == "Hi Ann,\n\n- one\n- two\n\nhttps://app.test/?a=1&b=2\n"
    assert [item.strip() for item in re.findall(r"<li[^>]*>(.*?)</li>", message.html)] == ["one", "two"]
    assert re.findall(r'<a href="(https://app.test[^"]*)"[^>]*>(.*?)</a>', message.html) == [
        ("https://app.test/?a=1&amp;b=2", "app.test")
    ]


def test_a_button_stands_alone_with_its_words_and_in_the_text_with_its_address():
    message = Templates({"t": HEAD + 'Hi\n\n{{ app_url | button("Open the report") }}\n'}).render(
        "t", {"name": "Ann", "app_url": "https://app.test/?a=1&b=2"}
    )
    assert message.text == "Hi\n\nOpen the report:\nhttps://app.test/?a=1&b=2\n"
    assert re.findall(r'href="([^"]*)"[^>]*>([^<]*)<', message.html) == [
        ("https://app.test/?a=1&amp;b=2", "Open the report")
    ]


def test_a_link_stands_in_its_sentence():
    message = Templates({"t": HEAD + 'See {{ app_url | link("our page") }} soon.\n'}).render(
        "t", {"name": "Ann", "app_url": "https://app.test"}
    )
    assert message.text == "See our page <https://app.test> soon.\n"
    assert re.findall(r'See <a href="https://app.test"[^>]*>our page</a> soon', message.html)


def test_a_score_has_a_link_each_that_says_it_and_nothing_else():
    message = Templates({"t": HEAD + '{{ link | scores(1, 3, "Bad", "Good") }}\n'}).render(
        "t", {"name": "Ann", "link": "https://x.test/s/token"}
    )
    assert message.text == (
        "1 (Bad): https://x.test/s/token?score=1\n2: https://x.test/s/token?score=2\n3 (Good): https://x.test/s/token?score=3\n"
    )
    assert re.findall(r'href="https://x.test/s/token\?score=(\d)"[^>]*>(\d)<', message.html) == [
        ("1", "1"),
        ("2", "2"),
        ("3", "3"),
    ]
    assert ">Bad<" in message.html
    assert ">Good<" in message.html


@pytest.mark.parametrize(
    "body",
    [
        '{{ name | button("x") }}',
        '{{ "javascript:alert(1)" | button("x") }}',
        '{{ "https://x.test/ y" | link("x") }}',
        "{{ 'https://x.test' | scores(0, 11) }}",
        "{{ 'https://x.test' | scores(3, 3) }}",
    ],
)
def test_what_is_no_address_of_a_page_or_no_scale_makes_no_button(body: str):
    with pytest.raises(RenderError):
        text(body)


def test_no_value_can_make_a_button():
    mark = "\x02button\x1fhttps://evil.test\x1fClick\x03"
    message = Templates({"t": HEAD + "{{ name }}\n"}).render("t", {"name": mark})
    assert "href" not in message.html
    with pytest.raises(TemplateMistake, match="control character"):
        Templates({"t": HEAD + mark})


def test_what_follows_a_rule_is_small_print_below_the_card():
    message = Templates({"t": HEAD + "Hi\n", "footer": "Subject: -\n\nKim\n\n---\n\nLtd\n"}).render(
        "t", {"name": "Ann"}
    )
    assert message.text == "Hi\n\nKim\n\n-- \n\nLtd\n"
    hi, kim, ltd = (message.html.index(f">{word}<") for word in ("Hi", "Kim", "Ltd"))
    assert hi < kim < ltd
    assert 'class="small"' not in message.html[:kim]
    assert 'class="small"' in message.html[kim:ltd]


def test_what_is_written_from_right_to_left_leaves_its_neighbours_where_they_are():
    message = Templates({"t": HEAD + "{{ name }} has 12 seats\n"}).render("t", {"name": "חברה"})
    assert "<bdi>חברה</bdi> has 12 seats" in message.html
    assert message.text == "\u2068חברה\u2069 has 12 seats\n"


def test_a_mail_in_a_language_that_is_written_from_right_to_left_is_laid_out_so():
    brand = Brand(name="חברה", sender="-", app_url="https://a.test", address="-", lang="he")
    message = Templates({"t": HEAD + "{{ name }}: שלום\n"}, MailDesign(brand)).render("t", {"name": "Ann Lee"})
    assert '<html lang="he" dir="rtl"' in message.html
    assert "direction:ltr" not in message.html
    assert "<bdi>Ann Lee</bdi>: שלום" in message.html


def test_a_logo_says_the_name_to_those_who_do_not_see_it():
    brand = Brand(name="Ours & Co", sender="-", app_url="https://a.test", address="-", logo="https://a.test/l.png")
    html = Templates({"t": HEAD + "Hi"}, MailDesign(brand)).render("t", {"name": "x"}).html
    assert re.findall(r'<img alt="([^"]*)"[^>]*src="([^"]*)"', html) == [("Ours &amp; Co", "https://a.test/l.png")]
    assert "wordmark" not in html.partition("<body")[2]


def test_a_template_is_not_written_without_what_it_needs():
    templates = Templates({"t": "Subject: x\nNeeds: seats, page_url\n\nYou have {{ seats }}.\n"})
    assert templates.needs("t") == {"seats", "page_url"}
    assert templates.render("t", {"seats": 3, "page_url": "https://x.test"}).text == "You have 3.\n"
    with pytest.raises(RenderError, match="t: needs 'page_url', which is unknown"):
        templates.render("t", {"seats": 3})
    with pytest.raises(TemplateMistake, match="'two words' is none"):
        Templates({"t": "Subject: x\nNeeds: seats, two words\n\nx\n"})


def test_money_is_written_as_people_write_it():
    body = '{{ a | money("EUR") }} {{ a | money("chf") }} {{ a | money("JPY") }} {{ a | money }}'
    assert text(body, a=1188.5) == "€1,188.50 CHF 1,188.50 ¥1,188 1,188.50\n"


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#ffff00", "#2457d6", "#e9b44c", "#808080"])
def test_links_and_buttons_can_be_read_in_any_colour_of_a_brand(colour: str):
    assert contrast(readable(colour, "#ffffff"), "#ffffff") >= 4.5
    assert contrast(readable(colour, "#1b2026"), "#1b2026") >= 4.5
    brand = Brand(name="x", sender="-", app_url="https://a.test", address="-", colour=colour)
    html = (
        Templates({"t": HEAD + '{{ "https://a.test" | button("Go") }}'}, MailDesign(brand))
        .render("t", {"name": "x"})
        .html
    )
    (background, on) = re.findall(r"<a href=[^>]*background:(#\w{6});color:(#\w{6})", html)[0]
    assert (background, contrast(background, on) >= 4.5) == (colour, True)


def test_every_marketing_mail_ends_with_the_unsubscribe_link():
    templates = Templates({"t": HEAD + "Hi\n", "footer": FOOTER})
    values = {"name": "Ann", "unsubscribe_link": "https://x.test/u"}
    assert templates.render("t", values).text == "Hi\n\nStop: https://x.test/u\n"
    assert templates.render("t", values, footer=False).text == "Hi\n"


def test_what_a_customer_is_called_is_text_and_never_markup():
    message = Templates({"t": HEAD + "Hi {{ name }}\n"}).render("t", {"name": "<script>alert('x')</script>&"})
    assert "<script>" not in message.html
    assert "&lt;script&gt;" in message.html


def test_a_name_adds_no_line_and_its_link_is_no_link():
    message = Templates({"t": HEAD + "Hi {{ name }}\n"}).render("t", {"name": "Ann\r\n\r\nPay at https://evil.test/"})
    assert message.subject == "Hello Ann Pay at https://evil.test/"
    assert message.text.count("\n") == 1
    assert "href" not in message.html


def test_a_very_long_name_is_cut():
    assert len(text("{{ name }}", name="x" * 10_000)) < 400


def test_an_unknown_value_is_an_error_that_names_it():
    with pytest.raises(RenderError, match="t: 'seats' is undefined: unknown for this account"):
        text("{{ seats }}")


def test_an_unknown_value_can_be_asked_for():
    assert text("{% if seats is defined %}{{ seats }}{% else %}none{% endif %}") == "none\n"


def test_numbers_dates_and_changes_read_as_people_write_them():
    values = {"a": 1234567.0, "b": 0.834, "c": "2025-03-03", "d": 12.0, "e": 10.0, "f": 1.0, "g": 0.0}
    body = (
        '{{ a|number }} {{ b|percent }} {{ c|day }} {{ d|change(e) }} {{ f|plural("seat","seats") }} {{ d|change(g) }}'
    )
    assert text(body, **values) == "1,234,567 83% 3 March 2025 +20% 1 seat +12\n"


@pytest.mark.parametrize(
    "body",
    [
        "{% for c in name %}x{% endfor %}",
        "{{ name.__class__ }}",
        "{{ name['__class__'] }}",
        "{{ name|attr('x') }}",
        "{{ 'a' * 50000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%050000000d' % 1 }}",
        "{{ 'a'.center(50000000) }}",
        "{{ range(10) }}",
        "{{ cycler() }}",
        "{% set x = 1 %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% macro m() %}{% endmacro %}",
        "{% block b %}{% endblock %}",
        "{% filter number %}1{% endfilter %}",
        "{{ name|format('x') }}",
        "{{ [1, 2] }}",
        "{{ {'a': 1} }}",
        "{{ self }}{{ self._TemplateReference__context }}",
        "{% with a=1 %}{% endwith %}",
        "{% autoescape false %}{% endautoescape %}",
        "{{ unclosed",
    ],
)
def test_a_template_that_does_more_than_values_filters_and_if_is_refused(body: str):
    with pytest.raises(TemplateMistake):
        text(body)


def test_a_mistake_names_its_line():
    with pytest.raises(TemplateMistake) as mistake:
        text("fine\n{% for a in b %}{% endfor %}\n")
    assert mistake.value.line == 4


def test_a_template_without_a_subject_or_too_long_is_refused():
    with pytest.raises(TemplateMistake, match="Subject"):
        Templates({"t": "Hello\n"})
    with pytest.raises(TemplateMistake, match="64 KB"):
        Templates({"t": HEAD + "x" * SOURCE_LIMIT})


def test_a_message_that_grows_too_long_is_refused():
    with pytest.raises(RenderError, match="256 KB"):
        text("{{ a }}" * 5000, a="x" * 300)
    assert OUTPUT_LIMIT < 5000 * 300
