"""Who plays which part? Every persona's accounts, with names, people, sizes and dates, from the seed."""

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random  # noqa: TID251  the type of the dice; they come from `chance`

from waymark.demo.account import Account, Person
from waymark.demo.chance import dice
from waymark.demo.market import CSMS, FEATURES, SEGMENTS, TIMEZONES
from waymark.demo.names import FAMILY, GIVEN, PLACES, TRADES
from waymark.demo.persona import Persona
from waymark.demo.personas import PERSONAS, champion_leaves


def cast(seed: int, today: date) -> tuple[Account, ...]:
    """All accounts of the company; referred ones carry the code of an advocate."""
    parts = [persona for persona in PERSONAS for _ in range(persona.accounts)]
    dice(seed, "parts").shuffle(parts)
    names = list(_names(dice(seed, "names"), len(parts)))
    accounts = [_account(seed, number, parts[number], names[number], today) for number in range(len(parts))]
    codes = iter([account.code for account in accounts if account.persona.name == "advocate"])
    return tuple(
        account._replace(referred_by=next(codes)) if account.persona.name == "referred" else account
        for account in accounts
    )


def _names(throw: Random, count: int) -> Iterator[str]:
    places, trades = list(PLACES), list(TRADES)
    throw.shuffle(places)
    throw.shuffle(trades)
    for number in range(count):
        again, place = divmod(number, len(places))
        yield f"{places[place]} {trades[(number + 5 * again) % len(trades)]}"


def _account(seed: int, number: int, persona: Persona, name: str, today: date) -> Account:
    throw = dice(seed, "account", number)
    segment = throw.choices(SEGMENTS, persona.sizes)[0]
    seats = throw.randint(*segment.seats)
    signed_up = _weekday(today - timedelta(days=throw.randint(*persona.age)))
    left = throw.randint(*persona.left) if persona.left else 1
    told = persona.name == "champion_leaves"
    name = champion_leaves.NAME if told else name
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
        tempo=throw.uniform(*persona.tempo),
        timezone=throw.choice(list(TIMEZONES)),
        csm=throw.choice(CSMS),
        features=tuple(throw.sample(FEATURES, persona.features)),
        people=tuple(_people(throw, number, slug, round(seats * 1.5), champion_leaves.CHAMPION if told else None)),
    )


def _weekday(day: date) -> date:
    return day - timedelta(days=max(0, day.weekday() - 4))


def _people(throw: Random, account: int, slug: str, count: int, first: tuple[str, str] | None) -> Iterator[Person]:
    given, family = throw.sample(GIVEN, min(count, len(GIVEN))), throw.sample(FAMILY, min(count, len(FAMILY)))
    full = list(zip(given, family, strict=True))
    if first:
        full[0] = first
    for number, (forename, surname) in enumerate(full):
        role = ("champion", "admin")[number] if number < 2 else "user"
        email = f"{forename}.{surname}@{slug}.example".lower()
        yield Person(f"u{account:03}{number:02}", f"{forename} {surname}", email, role, throw.uniform(0.6, 1.5))
