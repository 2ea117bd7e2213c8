"""How does the text look as HTML? Paragraphs and lists; every character escaped, and only our own links are links."""

from collections.abc import Iterable

from markupsafe import Markup, escape

_PAGE = Markup(
    '<!doctype html>\n<html><head><meta charset="utf-8"><title>{title}</title></head>'
    '<body style="font:16px/1.5 sans-serif;color:#222;max-width:36em;margin:1em auto;padding:0 1em">\n{body}\n'
    "</body></html>\n"
)
_BULLET = "- "


def page(title: str, text: str, links: Iterable[str]) -> str:
    """A page of the text's paragraphs. A line that starts with `- ` is an entry of a list."""
    ours = sorted({link for link in links if link.startswith(("https://", "http://"))}, key=len, reverse=True)
    blocks = (block for block in text.split("\n\n") if block.strip())
    return _PAGE.format(title=title, body=Markup("\n").join(_block(block.strip("\n"), ours) for block in blocks))


def _block(block: str, links: list[str]) -> Markup:
    lines = block.split("\n")
    lead = [line for line in lines if not line.startswith(_BULLET)]
    entries = [line.removeprefix(_BULLET) for line in lines if line.startswith(_BULLET)]
    paragraph = Markup("<p>{}</p>").format(Markup("<br>\n").join(_line(line, links) for line in lead))
    bullets = Markup("").join(Markup("<li>{}</li>").format(_line(line, links)) for line in entries)
    return (paragraph if lead else Markup("")) + (Markup("<ul>{}</ul>").format(bullets) if entries else Markup(""))


def _line(line: str, links: list[str]) -> Markup:
    """The line with our own links in it made clickable: an address in somebody's name stays text."""
    for link in links:
        before, found, after = line.partition(link)
        if found:
            anchor = Markup('<a href="{0}">{0}</a>').format(link)
            return _line(before, links) + anchor + _line(after, links)
    return escape(line)
