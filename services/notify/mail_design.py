"""Mail design: the page around every mail's content, from `design/mail.mjml` and the brand.

The MJML is compiled once, with placeholders. A mail is made by filling them with escaped words, so nothing that a customer
wrote is ever parsed, and it costs microseconds.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import css_inline
import mrml
from jinja2 import Environment, StrictUndefined
from markupsafe import escape

from services.notify.content import END_ISOLATE, ISOLATE, Block, Bullets, Button, Line, Paragraph, Rule, Scale, Span
from shared.brand import Brand, readable, text_on

_SOURCE = Path(__file__).parent / "design" / "mail.mjml"
_PIECE = re.compile(r"<!--piece:(\w+)-->(.*?)<!--end-->", re.DOTALL)
_SCORE = re.compile(r"<td[^>]*><a .*?</a></td>", re.DOTALL)
_NO_SCORE = re.compile(r"<td[^>]*>@@scores@@</td>")
_WORD = re.compile(r"@@(\w+)@@")
_CONTENT, _SMALL_PRINT = "<!--content-->", "<!--small print-->"
_LIGHT_PAGE, _DARK_PAGE = "#ffffff", "#1b2026"
_MUTED = "color:#59636e"


class MailDesign:
    """The design in the colours of one brand. Raises OSError where MJML cannot be compiled, which is a mistake of ours."""

    def __init__(self, brand: Brand) -> None:
        self.right_to_left = brand.right_to_left
        page = _compiled(brand)
        self._pieces = dict(_PIECE.findall(page))
        found = _SCORE.search(self._pieces["score"])
        if found is None:
            raise OSError("the design has no score")
        self._score = found[0]
        self._scale_piece = _NO_SCORE.sub("@@scores@@", self._pieces["scale"])
        self._page = _PIECE.sub("", page)
        self._link = f"color:{readable(brand.colour, _LIGHT_PAGE)}"

    def page(self, title: str, content: Iterable[Block]) -> str:
        """The HTML of a mail. What follows a rule is small print."""
        body: list[str] = []
        small: list[str] = []
        into, piece = body, "paragraph"
        for block in content:
            if isinstance(block, Rule):
                into, piece = small, "small"
            else:
                into.append(self._block(block, piece))
        page = _filled(self._page, {"title": str(escape(_without_isolates(title)))})
        return page.replace(_CONTENT, "".join(body)).replace(_SMALL_PRINT, "".join(small))

    def _block(self, block: Paragraph | Bullets | Button | Scale, piece: str) -> str:
        match block:
            case Paragraph(lines):
                style = self._link if piece == "paragraph" else _MUTED
                return _filled(self._pieces[piece], {"inline": "<br>".join(_inline(line, style) for line in lines)})
            case Bullets(entries):
                items = "".join(f'<li style="margin:0 0 6px">{_inline(entry, self._link)}</li>' for entry in entries)
                return _filled(self._pieces["list"], {"items": items})
            case Button(label, url):
                return _filled(self._pieces["button"], {"label": _escaped(label), "url": str(escape(url))})
            case Scale():
                return self._scale(block)

    def _scale(self, scale: Scale) -> str:
        ends = {scale.scores[0]: scale.low, scale.scores[-1]: scale.high}
        scores = ""
        for score in scale.scores:
            label = f"{score}: {ends[score]}" if ends.get(score) else str(score)
            words = {"url": str(escape(scale.page(score))), "label": str(escape(label)), "score": str(score)}
            scores += _filled(self._score, words)
        low, high = _escaped(scale.low), _escaped(scale.high)
        return _filled(self._scale_piece, {"scores": scores, "low": low, "high": high})


@cache
def plain_design() -> MailDesign:
    """The design without a company's brand, for texts that are only tried."""
    return MailDesign(Brand(name="Example", sender="Example", app_url="https://app.example.com", address="Example"))


def _compiled(brand: Brand) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    start, end = ("right", "left") if brand.right_to_left else ("left", "right")
    source = environment.from_string(_SOURCE.read_text("utf8")).render(
        name=brand.name,
        logo=brand.logo,
        logo_width=brand.logo_width,
        lang=brand.lang,
        dir="rtl" if brand.right_to_left else "ltr",
        start=start,
        end=end,
        colour=brand.colour,
        on_colour=text_on(brand.colour),
        link=readable(brand.colour, _LIGHT_PAGE),
        link_dark=readable(brand.colour, _DARK_PAGE),
    )
    html = mrml.to_html(source).content
    return css_inline.inline(html, keep_at_rules=True, load_remote_stylesheets=False, minify_css=True)


def _filled(piece: str, words: Mapping[str, str]) -> str:
    return _WORD.sub(lambda found: words[found[1]], piece)


def _inline(line: Line, link: str) -> str:
    return "".join(_span(span, link) for span in line)


def _span(span: Span, link: str) -> str:
    words = _escaped(span.text)
    return f'<a href="{escape(span.url)}" style="{link}">{words}</a>' if span.url else words


def _escaped(text: str) -> str:
    """The text in HTML, with what is written in the other direction isolated."""
    return str(escape(text)).replace(ISOLATE, "<bdi>").replace(END_ISOLATE, "</bdi>")


def _without_isolates(text: str) -> str:
    return text.replace(ISOLATE, "").replace(END_ISOLATE, "")
