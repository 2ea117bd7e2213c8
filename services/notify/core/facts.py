"""What may a template say? The account's own numbers at this moment; what is unknown is not there."""

from datetime import datetime, timedelta

from services.notify.core.state import Account, Ask, Mark
from shared.contracts.evidence import Value

QUARTER = timedelta(days=90)
WORTH_COMPARING = timedelta(days=25)
LONGEST_NAME = 40
LONGEST_COMPANY = 80


def facts(account: Account, user: str | None, ask: Ask | None, at: datetime) -> dict[str, Value]:
    """Names to values: metrics as they are called, `trait_`, `reached_` (a date), `before_` (a quarter ago), `ask_`."""
    view = account.view
    told: dict[str, Value] = {f"trait_{name}": value for name, value in view.traits.items()}
    told |= {f"reached_{name}": when.date().isoformat() for name, when in view.milestones.items()}
    told |= view.metrics | _before(view.marks, at)
    told |= {f"ask_{name}": value for name, value in ask.values.items()} | {"link": ask.link} if ask else {}
    told |= {"stage": view.stage, "band": view.band, "score": view.score, "today": at.date().isoformat()}
    told |= {"account_name": company_name(account), "first_name": first_name(account, user)}
    return {name: value for name, value in sorted(told.items()) if value is not None}


def company_name(account: Account) -> str:
    """What to call the account. Whoever signs up writes it, and our mail is no place for their advertisement."""
    name = str(account.view.traits.get("name") or account.id)
    return "your company" if "://" in name or "www." in name.lower() else name[:LONGEST_COMPANY]


def first_name(account: Account, user: str | None) -> str:
    """How to greet them. A name that looks like an address or a link is somebody's trick, and no name."""
    who = account.contacts.get(user or "")
    words = (who.name or "").split() if who else []
    plain = bool(words) and not any(sign in words[0] for sign in "/@:\\<>") and len(words[0]) <= LONGEST_NAME
    return words[0] if plain else "there"


def _before(marks: list[Mark], at: datetime) -> dict[str, Value]:
    """The mark closest to a quarter ago, where one is old enough to compare with."""
    old = [mark for mark in marks if mark.at <= at - WORTH_COMPARING]
    if not old:
        return {}
    mark = min(old, key=lambda mark: abs(mark.at - (at - QUARTER)))
    then: dict[str, Value] = {f"before_{name}": value for name, value in mark.metrics.items()}
    return then | {"before_date": mark.at.date().isoformat()}
