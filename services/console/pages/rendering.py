"""How does a page become HTML? Everything is escaped, and what an answer lacks is left out rather than failed on."""

from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import ChainableUndefined, Environment, FileSystemLoader

from services.console.core import shape, words

_HERE = Path(__file__).parent
STYLE = (_HERE / "style.css").read_text("utf8")
_VERSION = sha256(STYLE.encode()).hexdigest()[:10]

NAV = (
    ("/console/", "Overview"),
    ("/console/accounts", "Accounts"),
    ("/console/outbox", "Outbox"),
    ("/console/tasks", "Tasks"),
    ("/console/surveys", "Surveys"),
    ("/console/referrals", "Referrals"),
    ("/console/parked", "Parked"),
    ("/console/health", "Health"),
)
"""The pages one goes to, in this order."""


def rendered(template: str, path: str, **values: Any) -> str:
    """The page. `path` marks where in the navigation it is."""
    return _pages.get_template(template).render(path=path, nav=NAV, version=_VERSION, **values)


def link(path: str, *parts: Any, **query: Any) -> str:
    """An address of ours: ids are encoded whole, empty filters left out."""
    whole = "/".join([path, *(quote(str(part), safe="") for part in parts)])
    given = {name: value for name, value in query.items() if value}
    return f"{whole}?{urlencode(given)}" if given else whole


def here(path: str, address: str) -> bool:
    """Whether a page belongs to this entry of the navigation."""
    return path == address or (address != "/console/" and path.startswith(f"{address}/"))


_pages = Environment(
    loader=FileSystemLoader(_HERE), autoescape=True, undefined=ChainableUndefined, trim_blocks=True, lstrip_blocks=True
)
_pages.globals.update(link=link, here=here)
_pages.filters.update(
    value=words.value,
    number=words.number,
    words=words.words,
    day=words.day,
    moment=words.moment,
    money=words.money,
    whole=words.whole,
    percent=words.percent,
    fields=shape.fields,
    listed=shape.listed,
    rows=shape.rows,
    pairs=shape.pairs,
    largest=shape.largest,
    total=shape.total,
    decision=words.decision,
)
