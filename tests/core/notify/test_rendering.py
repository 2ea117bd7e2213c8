"""Rendering: texts say what they should, and nothing in them can do harm."""

import pytest

from services.notify.rendering import OUTPUT_LIMIT, SOURCE_LIMIT, RenderError, TemplateMistake, Templates

HEAD = "Subject: Hello {{ name }}\n\n"
FOOTER = "Subject: -\n\nStop: {{ unsubscribe_link }}\n"


def text(body: str, **values: str | float) -> str:
    return Templates({"t": HEAD + body}).render("t", {"name": "Ann"} | values).text


def test_a_template_becomes_subject_text_and_html():
    templates = Templates({"t": HEAD + "Hi {{ name }},\n\n- one\n- two\n\n{{ app_url }}\n"})
    message = templates.render("t", {"name": "Ann", "app_url": "https://app.test/?a=1&b=2"})
    assert message.subject == "Hello Ann"
    assert message.text == "Hi Ann,\n\n- one\n- two\n\nhttps://app.test/?a=1&b=2\n"
    assert "<ul><li>one</li><li>two</li></ul>" in message.html
    assert '<a href="https://app.test/?a=1&amp;b=2">' in message.html


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
