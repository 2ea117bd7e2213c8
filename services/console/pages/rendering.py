"""Rendering: Jinja templates with everything escaped; what an answer lacks is left out rather than failed on."""

from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import ChainableUndefined, Environment, FileSystemLoader

from services.console.core import answers, formatting, why_not
from services.console.core.portfolio import reason_beside_name, why_raised

_HERE = Path(__file__).parent
STYLE = (_HERE / "style.css").read_text("utf8")
_VERSION = sha256(STYLE.encode()).hexdigest()[:10]

NAV = (
    ("/console/", "Overview"),
    ("/console/accounts", "Accounts"),
    ("/console/outbox", "Outbox"),
    ("/console/tasks", "Tasks"),
    ("/console/plays", "Plays"),
    ("/console/surveys", "Surveys"),
    ("/console/referrals", "Referrals"),
    ("/console/parked", "Parked"),
    ("/console/audit", "Audit"),
    ("/console/health", "Health"),
)
"""Rendering: Jinja templates with everything escaped; what an answer lacks is left out rather than failed on."""


def rendered(template: str, path: str, **values: Any) -> str:
    """The page. `path` marks where in the navigation it is."""
    return _pages.get_template(template).render(path=path, nav=NAV, version=_VERSION, **values)


def link(path: str, *parts: Any, **query: Any) -> str:
    """An address of ours: ids are encoded whole, empty filters left out."""
    whole = "/".join([path, *(quote(str(part), safe="") for part in parts)])
    given = {name: value for name, value in query.items() if value}
    return f"{whole}?{urlencode(given)}" if given else whole


def is_current(path: str, address: str) -> bool:
    """Whether a page belongs to this entry of the navigation."""
    return path == address or (address != "/console/" and path.startswith(f"{address}/"))


_pages = Environment(
    loader=FileSystemLoader(_HERE), autoescape=True, undefined=ChainableUndefined, trim_blocks=True, lstrip_blocks=True
)
_pages.globals.update(link=link, is_current=is_current)
_pages.filters.update(
    value=formatting.value,
    number=formatting.number,
    words=formatting.words,
    day=formatting.day,
    moment=formatting.moment,
    money=formatting.money,
    whole=formatting.whole,
    percent=formatting.percent,
    fields=answers.fields,
    listed=answers.listed,
    rows=answers.rows,
    pairs=answers.pairs,
    largest=answers.largest,
    total=answers.total,
    decision=formatting.decision,
    rule=formatting.rule,
    why_not=why_not.why_not,
    detail=lambda one, metrics: why_not.detail(one.get("reason"), one.get("detail"), metrics),
    ledger_account=formatting.ledger_account,
    after=formatting.after,
    why_raised=why_raised,
    reason_beside_name=reason_beside_name,
)
