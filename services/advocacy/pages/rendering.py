"""Rendering of the hosted pages: every page is one of these functions, sent with the headers of its brand.

Only the POST of a page's own form counts; it goes to the page's own address, whose signed link is the permission.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from services.advocacy.core.definitions import Referrals, Rewards, Survey
from services.advocacy.core.ledger import format_money
from services.advocacy.core.referral import Code
from services.advocacy.core.survey_kinds import MAX_COMMENT_LENGTH, SurveyKind
from shared.durations import in_words
from shared.hosted import HostedBrand, page_templates

_pages = page_templates(Path(__file__).parent)


def survey(
    brand: HostedBrand,
    defined: Survey,
    kind: SurveyKind,
    closes_at: datetime,
    chosen: int | None,
    comment: str = "",
    error: str = "",
) -> str:
    """The question. `chosen` is shown as selected: from the link, from the answer so far, or from a refused post."""
    page = {"survey": defined, "kind": kind, "closes_on": _day(closes_at), "chosen": chosen}
    return _rendered("survey.html", brand, **page, comment=comment, error=error, limit=MAX_COMMENT_LENGTH)


def thanks(brand: HostedBrand, score: int, closes_at: datetime) -> str:
    """The answer was taken."""
    return _rendered("thanks.html", brand, score=score, closes_on=_day(closes_at))


def closed(brand: HostedBrand, reason: str, *, known: bool) -> str:
    """The page is expired or withdrawn, or (not `known`) its address is none of ours: `reason` says which."""
    return _rendered("closed.html", brand, reason=reason, known=known)


def ended(brand: HostedBrand, signup_url: str) -> str:
    """The company has ended its referral programme: said to friends and advocates alike."""
    return _rendered("ended.html", brand, signup_url=signup_url)


def landing(brand: HostedBrand, held: Code, rules: Referrals, onward: str, own_page: str) -> str:
    """What a friend sees: who sent them (where they agreed to that), what they get, and one button to sign up.

    `onward` is empty where the company names no address: the page shows the code instead. `own_page` is where the holder of
    the code asks for their own page, empty where there is none.
    """
    worth = {**_worth(rules.rewards), "hold": in_words(rules.rewards.hold)}
    page = {"name": held.shown_name, "code": held.code, "about": rules.about, "onward": onward, "own_page": own_page}
    return _rendered("landing.html", brand, **page, **worth)


def page_mailed(brand: HostedBrand) -> str:
    """The holder of the code, and nobody else, gets the link to their own page by mail."""
    return _rendered("page_mailed.html", brand)


def referral(brand: HostedBrand, rewards: Rewards, first_name: str) -> str:
    """What we ask, what both get, and the buttons: they post `choice` as `accept`, `decline` or `never`.

    `first_name` is what friends would see, if the person says so; empty where no name is known.
    """
    return _rendered("referral.html", brand, **_worth(rewards), hold=in_words(rewards.hold), first_name=first_name)


def code(
    brand: HostedBrand,
    code: str,
    share_link: str,
    rewards: Rewards,
    first_name: str,
    *,
    named: bool,
    saved: bool = False,
    never: bool = False,
) -> str:
    """The advocate's code and the link to pass on, and whether friends see their first name.

    `saved`: they have just said so. `never`: they want to be asked no more.
    """
    subject = quote(f"Try {brand.name}")
    body = quote(f"I use {brand.name} and think you would like it: {share_link}")
    page = {"code": code, "share_link": share_link, "mail": f"mailto:?subject={subject}&body={body}"}
    return _rendered(
        "code.html", brand, **page, **_worth(rewards), first_name=first_name, named=named, saved=saved, never=never
    )


def declined(brand: HostedBrand, cooldown: timedelta, *, never: bool = False) -> str:
    """The person said no, and is not asked for a while, or (`never`) ever again."""
    return _rendered("declined.html", brand, cooldown=in_words(cooldown), never=never)


def opted_out(brand: HostedBrand) -> str:
    """The person is asked no more."""
    return _rendered("opted_out.html", brand)


def _day(at: datetime) -> str:
    return f"{at.day} {at:%B %Y}"


def _worth(rewards: Rewards) -> dict[str, str]:
    return {
        "referrer": format_money(rewards.referrer, rewards.currency),
        "referred": format_money(rewards.referred, rewards.currency),
    }


def _rendered(page: str, brand: HostedBrand, **values: Any) -> str:
    return _pages.get_template(page).render(brand=brand, company=brand.name, **values)
