"""The demo company: its accounts drawn from the seed, their records merged by time, and the accounts worth opening."""

import heapq
from collections.abc import Iterator
from datetime import date, timedelta
from operator import itemgetter
from random import Random  # noqa: TID251  a type; the dice are seeded
from typing import Any, NamedTuple

from waymark.demo.model import CSMS, FEATURES, SEGMENTS, TIMEZONES, Account, Person, Persona, dice
from waymark.demo.names import FAMILY, GIVEN, PLACES, TRADES
from waymark.demo.personas import CHAMPION, CHAMPION_COMPANY, PERSONAS
from waymark.demo.simulation import account_records

_REFERRED = ("referred", "referred_lately")
"""Personas that came with an advocate's code."""


def accounts_of(seed: int, today: date) -> tuple[Account, ...]:
    """All accounts of the company; referred ones carry the code of an advocate."""
    personas = [persona for persona in PERSONAS for _ in range(persona.accounts)]
    dice(seed, "parts").shuffle(personas)
    names = list(_names(dice(seed, "names"), len(personas)))
    accounts = [_account(seed, number, personas[number], names[number], today) for number in range(len(personas))]
    codes = iter([account.referral_code for account in accounts if account.persona.name == "advocate"])
    referred = [account for name in _REFERRED for account in accounts if account.persona.name == name]
    code_of = {account.id: code for account, code in zip(referred, codes, strict=False)}
    return tuple(account._replace(referred_by_code=code_of.get(account.id, "")) for account in accounts)


def _names(random: Random, count: int) -> Iterator[str]:
    places, trades = list(PLACES), list(TRADES)
    random.shuffle(places)
    random.shuffle(trades)
    for number in range(count):
        round_number, place = divmod(number, len(places))
        yield f"{places[place]} {trades[(number + 5 * round_number) % len(trades)]}"


def _account(seed: int, number: int, persona: Persona, name: str, today: date) -> Account:
    random = dice(seed, "account", number)
    segment = random.choices(SEGMENTS, persona.segment_weights)[0]
    seats = random.randint(*segment.seats)
    signed_up = _weekday(today - timedelta(days=random.randint(*persona.age_days)))
    left = random.randint(*persona.cancelled_days_ago) if persona.cancelled_days_ago else 1
    is_champion_story = persona.name == "champion_leaves"
    name = CHAMPION_COMPANY if is_champion_story else name
    slug = "-".join(name.replace("&", "and").lower().split())
    return Account(
        seed=seed,
        number=number,
        id=slug,
        name=name,
        persona=persona,
        segment=segment,
        seats=seats,
        signed_up=signed_up,
        last_day=(today - signed_up).days - left,
        time_scale=random.uniform(*persona.time_scale),
        timezone=random.choice(list(TIMEZONES)),
        csm=random.choice(CSMS),
        features=tuple(random.sample(FEATURES, persona.features)),
        people=tuple(_people(random, number, slug, round(seats * 1.5), CHAMPION if is_champion_story else None)),
    )


def _weekday(day: date) -> date:
    return day - timedelta(days=max(0, day.weekday() - 4))


def _people(random: Random, account: int, slug: str, count: int, first: tuple[str, str] | None) -> Iterator[Person]:
    given, family = random.sample(GIVEN, min(count, len(GIVEN))), random.sample(FAMILY, min(count, len(FAMILY)))
    full = list(zip(given, family, strict=True))
    if first:
        full[0] = first
    for number, (forename, surname) in enumerate(full):
        role = ("champion", "admin")[number] if number < 2 else "user"
        email = f"{forename}.{surname}@{slug}.example".lower()
        yield Person(f"u{account:03}{number:02}", f"{forename} {surname}", email, role, random.uniform(0.6, 1.5))


def company(seed: int, today: date) -> Iterator[dict[str, Any]]:
    """Segment-shaped records, the oldest first; equal arguments give equal records."""
    return heapq.merge(
        *(account_records(account, today) for account in accounts_of(seed, today)), key=itemgetter("timestamp")
    )


class Highlight(NamedTuple):
    """An account worth opening. `summary` is what one finds there."""

    account_id: str
    name: str
    persona: str
    summary: str


class Referral(NamedTuple):
    """An advocate's code, the advocate, and the account that signed up with it and paid."""

    code: str
    advocate_id: str
    user_id: str
    referred_id: str


class Highlights(NamedTuple):
    """What to print after the demo was loaded. `samples` holds up to three accounts a persona."""

    churn: Highlight
    samples: dict[str, tuple[Highlight, ...]]
    referrals: tuple[Referral, ...]


def highlights(seed: int, today: date) -> Highlights:
    accounts = accounts_of(seed, today)
    samples = {persona.name: _samples(accounts, persona.name) for persona in PERSONAS}
    return Highlights(samples["champion_leaves"][0], samples, _referrals(accounts))


def _samples(accounts: tuple[Account, ...], persona: str) -> tuple[Highlight, ...]:
    matching = [account for account in accounts if account.persona.name == persona]
    return tuple(Highlight(account.id, account.name, persona, account.persona.summary) for account in matching[:3])


def _referrals(accounts: tuple[Account, ...]) -> tuple[Referral, ...]:
    by_code = {account.referral_code: account for account in accounts}
    return tuple(
        Referral(
            account.referred_by_code,
            by_code[account.referred_by_code].id,
            by_code[account.referred_by_code].people[0].user_id,
            account.id,
        )
        for account in accounts
        if account.persona.name == "referred"
    )
