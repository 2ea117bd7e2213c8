"""Rendering: templates, their filters, and the text and HTML of a message.

A template is a text: a line `Subject: ...`, perhaps `Needs: ...`, an empty line, the body, in a small, harmless part of
Jinja2: values, filters and if, and nothing that loops or calls. What it may contain is an allow-list of syntax (`_SYNTAX`),
so rendering takes time and space in proportion to its source. In HTML every character is escaped, and only our own links are
links.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache, lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.notify import content
from services.notify.core.account_view import YOUR_COMPANY
from services.notify.mail_design import MailDesign, plain_design
from shared.contracts.evidence import Value
from shared.values import written_money

MAX_VALUE = 300
MAX_URL = 2000
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\u2066-\u2069]+")
SOURCE_LIMIT = 64 * 1024
OUTPUT_LIMIT = 256 * 1024
FOOTER = "footer"
"""The template under every mail that is not transactional: it carries the unsubscribe link."""

CSM_NAME = "csm_name"
"""What templates call whoever answers for the account, where that is known."""
UNSUBSCRIBE_LINK = "unsubscribe_link"
_SUBJECT, _NEEDS = "Subject:", "Needs:"
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
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


def start(value: str) -> str:
    """A name at the start of a sentence: "your company" begins it with a capital, a real name stays as it is."""
    return YOUR_COMPANY.capitalize() if value == YOUR_COMPANY else value


def money(value: float, currency: str = "") -> str:
    """1188.5 of EUR as €1,188.50, of CHF as CHF 1,188.50."""
    return written_money(value, currency)


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
    "money": money,
    "start": start,
    "button": content.button,
    "link": content.link,
    "scores": content.scores,
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
    needs: dict[str, int]


class Templates:
    """The company's texts, parsed once. Raises TemplateMistake for the first that cannot be used."""

    def __init__(self, sources: Mapping[str, str], design: MailDesign | None = None) -> None:
        self._design = design or plain_design()
        self._env = _environment(right_to_left=self._design.right_to_left)
        to_left = self._design.right_to_left
        self._parsed = {name: _parse(name, source, right_to_left=to_left) for name, source in sources.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._parsed

    def names(self, template: str) -> dict[str, int]:
        """Every variable it reads or needs, with the line where it first does."""
        return self._parsed[template].names | self._parsed[template].needs

    def needs(self, template: str) -> frozenset[str]:
        """The variables without which it is not written."""
        return frozenset(self._parsed[template].needs)

    def subject(self, text: str, values: Mapping[str, Value]) -> str:
        """A subject that a step brings itself."""
        return " ".join(_write("subject", self._env.from_string(text), values).split())

    def render(
        self,
        template: str,
        values: Mapping[str, Value],
        *,
        subject: str = "",
        footer: bool = True,
        with_html: bool = True,
    ) -> Rendered:
        """The message; `html` is empty where nobody asks for it. Raises RenderError naming the template and the unknown value."""
        clean = {name: _clean(name, value) for name, value in values.items()}
        parsed = self._parsed[template]
        if missing := [name for name in parsed.needs if clean.get(name) is None]:
            raise RenderError(f"{template}: needs '{missing[0]}', which is unknown for this account")
        parts = [parsed.body, *([self._parsed[FOOTER].body] if footer and FOOTER in self else [])]
        written = [_write(template, part, clean).strip() for part in parts]
        text = _GAP.sub("\n\n", "\n\n".join(written)) + "\n"
        title = self.subject(subject, clean) if subject else " ".join(_write(template, parsed.subject, clean).split())
        if not with_html:
            return Rendered(title, content.plain(text), "")
        ours = _own_links(clean)
        blocks = [*content.blocks(written[0], ours)]
        if footer and len(written) > 1:
            end = [*content.blocks(written[1], ours)]
            blocks += end if content.Rule() in end else [content.Rule(), *end]
        return Rendered(title, content.plain(text), self._design.page(title, blocks))


@lru_cache(512)
def _parse(name: str, source: str, *, right_to_left: bool) -> _Parsed:
    """Compiled once in a process: the check of a folder and what writes with it have the same."""
    env = _environment(right_to_left=right_to_left)
    if len(source.encode()) > SOURCE_LIMIT:
        raise TemplateMistake(name, 1, f"longer than {SOURCE_LIMIT // 1024} KB")
    if content.marked(source):
        raise TemplateMistake(name, 1, "a control character in the text")
    head, _, body = source.partition("\n")
    if not head.startswith(_SUBJECT):
        raise TemplateMistake(name, 1, f"the first line is '{_SUBJECT} ...'")
    needs: list[str] = []
    if body.startswith(_NEEDS):
        line, _, body = body.partition("\n")
        needs = [word.strip() for word in line.removeprefix(_NEEDS).split(",")]
    if wrong := [word for word in needs if not _NAME.fullmatch(word)]:
        raise TemplateMistake(name, 2, f"'{_NEEDS}' is followed by names, separated by commas: '{wrong[0]}' is none")
    try:
        tree = env.parse(source)
        _harmless(name, tree)
        subject, text = (env.from_string(part) for part in (head.removeprefix(_SUBJECT).strip(), body))
    except TemplateSyntaxError as error:
        raise TemplateMistake(name, error.lineno, error.message or "not a template") from None
    read = meta.find_undeclared_variables(tree)
    lines = {node.name: node.lineno for node in reversed([*tree.find_all(nodes.Name)])}
    names = {variable: lines.get(variable, 1) for variable in sorted(read)}
    return _Parsed(subject, text, names, dict.fromkeys(needs, 2))


def _clean(name: str, value: Value) -> Value:
    """One line of limited length; an address of ours whole."""
    if _is_address(name) and isinstance(value, str) and len(value) <= MAX_URL:
        return _CONTROL.sub("", value)
    return tidy(value)


def _is_address(name: str) -> bool:
    return name.endswith(("link", "_url"))


def _own_links(values: Mapping[str, Value]) -> dict[str, str]:
    """Our own addresses, the longest first, with what a reader sees of one that stands in a text as it is."""
    urls = {value: name for name, value in values.items() if _is_address(name) and isinstance(value, str)}
    ours = sorted((url for url in urls if url.startswith(("https://", "http://"))), key=len, reverse=True)
    return {url: "Unsubscribe" if urls[url] == UNSUBSCRIBE_LINK else urlsplit(url).hostname or url for url in ours}


@cache
def _environment(*, right_to_left: bool) -> ImmutableSandboxedEnvironment:
    against = frozenset({"L"}) if right_to_left else frozenset({"R", "AL"})

    def isolated(value: Any) -> Any:
        """What is written against the direction of the text, isolated: its neighbours stay where they are."""
        if not isinstance(value, str) or content.marked(value):
            return value
        turns = any(unicodedata.bidirectional(sign) in against for sign in value)
        return f"{content.ISOLATE}{value}{content.END_ISOLATE}" if turns else value

    env = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # the plain text: the design makes the HTML of it and escapes every character
        finalize=isolated,
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
