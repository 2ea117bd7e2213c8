"""Whom should one look at? The churn story, samples of every kind of customer, and who referred whom."""

from datetime import date
from typing import NamedTuple

from waymark.demo.account import Account
from waymark.demo.cast import cast
from waymark.demo.personas import PERSONAS


class Story(NamedTuple):
    """An account worth opening. `tells` is what one should find there."""

    account: str
    name: str
    persona: str
    tells: str


class Referral(NamedTuple):
    """An advocate's code, the advocate, and the account that signed up with it."""

    code: str
    advocate: str
    user: str
    referred: str


class Stories(NamedTuple):
    """What to print after the demo was loaded. `samples` holds up to three accounts a persona."""

    churn: Story
    samples: dict[str, tuple[Story, ...]]
    referrals: tuple[Referral, ...]


def stories(seed: int, today: date) -> Stories:
    accounts = cast(seed, today)
    samples = {persona.name: _samples(accounts, persona.name) for persona in PERSONAS}
    return Stories(samples["champion_leaves"][0], samples, _referrals(accounts))


def _samples(accounts: tuple[Account, ...], persona: str) -> tuple[Story, ...]:
    playing = [account for account in accounts if account.persona.name == persona]
    return tuple(Story(it.id, it.name, persona, it.persona.tells) for it in playing[:3])


def _referrals(accounts: tuple[Account, ...]) -> tuple[Referral, ...]:
    by_code = {account.code: account for account in accounts}
    return tuple(
        Referral(it.referred_by, by_code[it.referred_by].id, by_code[it.referred_by].people[0].user, it.id)
        for it in accounts
        if it.referred_by
    )
