"""Content of a message: what a template writes, as blocks for the page and as plain text.

Templates make buttons, links and scales with filters. Those leave marks of control characters in the text, which no value
can carry, and become blocks or text here. Everything else is text, also what looks like a link.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

_BEGIN, _NEXT, _END = "\x02", "\x1f", "\x03"
_MARK = re.compile(rf"{_BEGIN}([^{_END}]*){_END}")
_SIGNS = re.compile(r"[\x00-\x1f\x7f]+")
_URL = re.compile(r"https?://[^\s<>\"]+")
ISOLATE, END_ISOLATE = "\u2068", "\u2069"
"""Around words that are written against the direction of the text."""
_BULLET = "- "
_RULE = "---"
MAX_SCORES = 11


class Span(NamedTuple):
    """Words in a line; with a `url` a link."""

    text: str
    url: str = ""


Line: TypeAlias = "list[Span]"


class Paragraph(NamedTuple):
    """Lines of text."""

    lines: list[Line]


class Bullets(NamedTuple):
    """Entries of a list."""

    entries: list[Line]


class Button(NamedTuple):
    """A link that stands alone."""

    label: str
    url: str


class Scale(NamedTuple):
    """A link for each score. It chooses the score on the page; only the page's form gives an answer."""

    url: str
    scores: range
    low: str
    high: str

    def page(self, score: int) -> str:
        """The address that shows this score as chosen."""
        return f"{self.url}{'&' if urlsplit(self.url).query else '?'}score={score}"


class Rule(NamedTuple):
    """What follows is small print."""


Block: TypeAlias = "Paragraph | Bullets | Button | Scale | Rule"


def button(url: str, label: str) -> str:
    """A button on a line of its own; within a line, a link."""
    return _mark("button", _checked(url), label)


def link(url: str, label: str) -> str:
    """The words, linked."""
    return _mark("link", _checked(url), label)


def scores(url: str, lowest: int, highest: int, low: str = "", high: str = "") -> str:
    """A button for each score of a survey, which chooses it on the page; `low` and `high` say what the ends mean."""
    if not 0 < highest - lowest < MAX_SCORES:
        raise ValueError(f"a scale has 2 to {MAX_SCORES} scores")
    return _mark("scale", _checked(url), str(lowest), str(highest), low, high)


def blocks(text: str, links: Mapping[str, str]) -> Iterator[Block]:
    """The blocks of a marked text. `links` are our own addresses that may stand in it, with the words to show instead."""
    for paragraph in re.split(r"\n\s*\n", text):
        yield from _blocks_of(paragraph.strip("\n"), links)


def plain(text: str) -> str:
    """The same as plain text: every link with its address, every score with its own."""
    return _MARK.sub(_as_text, re.sub(rf"^{_RULE}$", "-- ", text, flags=re.MULTILINE))


def marked(text: str) -> bool:
    """Whether marks, or characters that could be taken for one, stand in a text."""
    return bool(_SIGNS.search(text.replace("\n", "").replace("\t", "").replace("\r", "")))


def _checked(url: str) -> str:
    if not isinstance(url, str) or not _URL.fullmatch(url):
        raise ValueError(f"'{url}' is no address of a page")
    return url


def _mark(kind: str, *words: str) -> str:
    return f"{_BEGIN}{_NEXT.join([kind, *(_SIGNS.sub(' ', str(word)) for word in words)])}{_END}"


def _read(mark: re.Match[str]) -> Button | Scale | Span:
    kind, url, *words = mark[1].split(_NEXT)
    if kind == "scale":
        lowest, highest, low, high = words
        return Scale(url, range(int(lowest), int(highest) + 1), low, high)
    return Button(words[0], url) if kind == "button" else Span(words[0], url)


def _as_text(mark: re.Match[str]) -> str:
    read, alone = _read(mark), _alone(mark)
    match read:
        case Scale():
            ends = {read.scores[0]: read.low, read.scores[-1]: read.high}
            words = (f"{score} ({ends[score]})" if ends.get(score) else str(score) for score in read.scores)
            lines = zip(words, read.scores, strict=True)
            return "\n".join(f"{words}: {read.page(score)}" for words, score in lines)
        case Button(label, url) if alone:
            return f"{label}:\n{url}"
        case Button(label, url) | Span(label, url):
            return f"{label}: {url}" if _ends_line(mark) else f"{label} <{url}>"


def _alone(mark: re.Match[str]) -> bool:
    line = mark.string[mark.string.rfind("\n", 0, mark.start()) + 1 : mark.start()]
    return not line.strip() and _ends_line(mark)


def _ends_line(mark: re.Match[str]) -> bool:
    return mark.string[mark.end() : mark.end() + 1] in {"", "\n"}


def _blocks_of(paragraph: str, links: Mapping[str, str]) -> Iterator[Block]:
    lines: list[Line] = []
    entries: list[Line] = []
    for line in paragraph.split("\n"):
        mark = _MARK.fullmatch(line.strip())
        read = _read(mark) if mark else None
        standing = isinstance(read, Button | Scale) or line == _RULE
        if lines and (standing or line.startswith(_BULLET)):
            yield Paragraph(lines)
            lines = []
        if entries and not line.startswith(_BULLET):
            yield Bullets(entries)
            entries = []
        if isinstance(read, Button | Scale):
            yield read
        elif line == _RULE:
            yield Rule()
        elif line.startswith(_BULLET):
            entries.append(_spans(line.removeprefix(_BULLET), links))
        elif line.strip():
            lines.append(_spans(line, links))
    if entries:
        yield Bullets(entries)
    if lines:
        yield Paragraph(lines)


def _spans(line: str, links: Mapping[str, str]) -> Line:
    """The words of a line. Of the addresses in it only our own become links: one in somebody's name stays text."""
    found: Line = []
    at = 0
    for mark in _MARK.finditer(line):
        read = _read(mark)
        found += _own_links(line[at : mark.start()], links)
        if isinstance(read, Scale):  # in the middle of a line there is no room for one
            found.append(Span(f"{read.scores[0]}-{read.scores[-1]}", read.url))
        else:
            found.append(Span(read.label, read.url) if isinstance(read, Button) else read)
        at = mark.end()
    return found + _own_links(line[at:], links)


def _own_links(words: str, links: Mapping[str, str]) -> Line:
    for url in links:
        before, found, after = words.partition(url)
        if found:
            return [*_own_links(before, links), Span(links[url], url), *_own_links(after, links)]
    return [Span(words)] if words else []
