"""Rendering: templates, their filters, and the HTML of a message.

A template is a text: a line `Subject: ...`, an empty line, the body, in a small, harmless part of Jinja2: values, filters
and if, and nothing that loops or calls. What it may contain is an allow-list of syntax (`_SYNTAX`), so rendering takes time
and space in proportion to its source. In HTML every character is escaped, and only our own links are links.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from shared.contracts.evidence import Value

MAX_VALUE = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
SOURCE_LIMIT = 64 * 1024
OUTPUT_LIMIT = 256 * 1024
FOOTER = "footer"
"""The template under every mail that is not transactional: it carries the unsubscribe link."""

_SUBJECT = "Subject:"
_GAP = re.compile(r"\n{3,}")
_SYNTAX = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.If,
    nodes.Test,
    nodes.Filter,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Add,
    nodes.Sub,
    nodes.Div,
    nodes.Neg,
    nodes.Concat,
)


def tidy(value: Value) -> Value:
    """One line of limited length: somebody's name cannot add a paragraph to our mail."""
    return _CONTROL.sub(" ", value)[:MAX_VALUE] if isinstance(value, str) else value


def number(value: float) -> str:
    """1234.0 as 1,234; 0.25 as 0.25."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}".rstrip("0")


def percent(value: float) -> str:
    """0.834 as 83%."""
    return f"{value:.0%}"


def day(value: str) -> str:
    """2026-03-03 as 3 March 2026."""
    when = date.fromisoformat(value[:10])
    return f"{when.day} {when:%B %Y}"


def change(now: float, before: float) -> str:
    """12 after 10 as +20%; from nothing there is no percentage."""
    return f"{(now - before) / before:+.0%}" if before else f"+{number(now)}"


def plural(count: float, one: str, many: str) -> str:
    """1 seat, 2 seats."""
    return f"{number(count)} {one if count == 1 else many}"


def other(value: str, instead: str) -> str:
    """The value, or something instead where it is empty."""
    return value or instead


def whole(value: float) -> int:
    """Rounded to a whole number."""
    return round(value)


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "percent": percent,
    "day": day,
    "change": change,
    "plural": plural,
    "other": other,
    "whole": whole,
    "abs": abs,
}
TESTS = ("defined", "undefined", "none", "eq", "ne", "gt", "ge", "lt", "le", "==", "!=", ">", ">=", "<", "<=", "in")


class TemplateMistake(Exception):  # noqa: N818  as shared.definitions has it
    """The template cannot be used. `line` is where."""

    def __init__(self, template: str, line: int, problem: str) -> None:
        super().__init__(problem)
        self.template, self.line, self.problem = template, line, problem


class RenderError(Exception):
    """The message cannot be written: a value it needs is unknown for this account."""


class Rendered(NamedTuple):
    """A message. `html` says what `text` says."""

    subject: str
    text: str
    html: str


class _Parsed(NamedTuple):
    subject: Template
    body: Template
    names: dict[str, int]


class Templates:
    """The company's texts, parsed once. Raises TemplateMistake for the first that cannot be used."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._env = _environment()
        self._parsed = {name: self._parse(name, source) for name, source in sources.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._parsed

    def names(self, template: str) -> dict[str, int]:
        """Every variable it reads, with the line where it first does."""
        return self._parsed[template].names

    def subject(self, text: str, values: Mapping[str, Value]) -> str:
        """A subject that a step brings itself."""
        return " ".join(_write("subject", self._env.from_string(text), values).split())

    def render(self, template: str, values: Mapping[str, Value], *, subject: str = "", footer: bool = True) -> Rendered:
        """The message. Raises RenderError naming the template and the unknown value."""
        clean = {name: tidy(value) for name, value in values.items()}
        parsed = self._parsed[template]
        parts = [parsed.body, *([self._parsed[FOOTER].body] if footer and FOOTER in self else [])]
        text = _GAP.sub("\n\n", "\n\n".join(_write(template, part, clean).strip() for part in parts)) + "\n"
        title = self.subject(subject, clean) if subject else " ".join(_write(template, parsed.subject, clean).split())
        links = (value for name, value in clean.items() if name.endswith(("link", "_url")) and isinstance(value, str))
        return Rendered(title, text, _page(title, text, links))

    def _parse(self, name: str, source: str) -> _Parsed:
        if len(source.encode()) > SOURCE_LIMIT:
            raise TemplateMistake(name, 1, f"longer than {SOURCE_LIMIT // 1024} KB")
        head, _, body = source.partition("\n")
        if not head.startswith(_SUBJECT):
            raise TemplateMistake(name, 1, f"the first line is '{_SUBJECT} ...'")
        try:
            tree = self._env.parse(source)
            _harmless(name, tree)
            subject, text = (self._env.from_string(part) for part in (head.removeprefix(_SUBJECT).strip(), body))
        except TemplateSyntaxError as error:
            raise TemplateMistake(name, error.lineno, error.message or "not a template") from None
        read = meta.find_undeclared_variables(tree)
        lines = {node.name: node.lineno for node in reversed([*tree.find_all(nodes.Name)])}
        return _Parsed(subject, text, {variable: lines.get(variable, 1) for variable in sorted(read)})


def _environment() -> ImmutableSandboxedEnvironment:
    env = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # the plain text: _page makes the HTML of it and escapes every character
    )
    env.globals.clear()
    env.filters = dict(FILTERS)
    env.tests = {name: env.tests[name] for name in TESTS}
    return env


def _harmless(name: str, tree: nodes.Template) -> None:
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, (*_SYNTAX, nodes.Helper)):
            kind = type(node).__name__.lower()
            raise TemplateMistake(name, node.lineno or 1, f"'{kind}' is not for templates: values, filters and if are")


def _write(name: str, template: Template, values: Mapping[str, Value]) -> str:
    written: list[str] = []
    size = 0
    try:
        for piece in template.generate(values):
            size += len(piece.encode())
            if size > OUTPUT_LIMIT:
                raise RenderError(f"{name}: longer than {OUTPUT_LIMIT // 1024} KB")
            written.append(piece)
    except UndefinedError as error:
        raise RenderError(f"{name}: {error.message}: unknown for this account") from None
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise RenderError(f"{name}: {error}") from None
    return "".join(written)


_PAGE = Markup(
    '<!doctype html>\n<html><head><meta charset="utf-8"><title>{title}</title></head>'
    '<body style="font:16px/1.5 sans-serif;color:#222;max-width:36em;margin:1em auto;padding:0 1em">\n{body}\n'
    "</body></html>\n"
)
_BULLET = "- "


def _page(title: str, text: str, links: Iterable[str]) -> str:
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
