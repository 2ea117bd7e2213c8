"""Trusted facts: what only the company may say, as the product has it and as the events of its server alone give it.

Computed from the archive without the product's own rules. Who told an event is told by its key's name.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from services.lifecycle.core.state import Account, tie_of
from shared.contracts.usage import UsageEvent
from tests.chaos.evidence import TrustedFact

BROWSER = "pages"
"""The name of the public key."""
EVIL = "evil.example"
_FIRST = {"paid": "invoice_paid"}
"""Milestones, by the event that first reaches each."""
_properties = msgspec.json.Decoder(dict[str, Any]).decode


def claimed(archive: Iterable[UsageEvent]) -> int:
    """How many events a browser told."""
    return sum(event.source == BROWSER for event in archive)


def trusted_facts(
    archive: Sequence[UsageEvent],
    accounts: Mapping[str, Account],
    decisions: Iterable[Mapping[str, Any]],
    memberships: Mapping[str, str],
) -> list[TrustedFact]:
    """Every trusted fact of these accounts. The archive is in each account's order, the decisions are in theirs."""
    servers = [event for event in archive if event.source != BROWSER]
    told = defaultdict(list)
    for event in servers:
        told[event.account].append(event)
    facts = [fact for name, account in sorted(accounts.items()) for fact in _of_account(account, told[name])]
    by_browser = {(event.account, event.id) for event in archive if event.source == BROWSER}
    return [*facts, *_of_decisions(servers, list(decisions), by_browser), *_of_users(servers, memberships)]


def _of_account(account: Account, told: list[UsageEvent]) -> Iterator[TrustedFact]:
    for milestone, name in _FIRST.items():
        times = [event.at for event in told if event.name == name]
        reached = account.milestones.get(milestone)
        yield _fact(f"{account.id} {milestone}", reached, min(times, default=None))
    sold = [event for event in told if event.name == "subscription_started"]
    latest = max(sold, key=lambda event: (event.at, tie_of(event.id)), default=None)
    trait = account.traits.get("mrr")
    paid = _properties(latest.properties)["mrr"] if latest else None
    yield _fact(f"{account.id} mrr", trait and trait.value, paid and float(paid))


def _of_decisions(
    servers: list[UsageEvent], decisions: list[Mapping[str, Any]], by_browser: set[tuple[str, str]]
) -> Iterator[TrustedFact]:
    """People as others were last told of them, and the facts that were passed on."""
    people = {(one["account"], one["user"]): one for one in decisions if one["kind"] == "contact_changed"}
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for event in servers:
        if event.type == "identify" and event.user:
            known[event.account, event.user] = _properties(event.properties)
    for (account, user), traits in sorted(known.items()):
        shown = people.get((account, user), {})
        for field in ("email", "role"):
            yield _fact(f"{account} {user} {field}", shown.get(field), traits[field])
    for one in decisions:
        if one["kind"] == "fact_observed":
            name = f"{one['account']} {one['fact']} {one['event']}"
            yield TrustedFact(name, "told", "" if (one["account"], one["event"]) in by_browser else "told")
    for place, shown in sorted(people.items()):
        if place not in known:
            yield _fact(
                f"{' '.join(place)} trusted", shown.get("email_trusted", True) and bool(shown.get("email")), False
            )


def _of_users(servers: list[UsageEvent], memberships: Mapping[str, str]) -> Iterator[TrustedFact]:
    """Where users belong whom the server named in one account only, and where the server's events of them went."""
    named = defaultdict(set)
    for event in servers:
        if event.type == "identify" and event.user:
            named[event.user].add(event.account)
    homes = {user: next(iter(accounts)) for user, accounts in named.items() if len(accounts) == 1}
    for user, account in sorted(homes.items()):
        yield TrustedFact(f"{user} belongs", memberships.get(user, ""), account)
    for event in servers:
        if event.user in homes and event.trust != "browser":
            yield TrustedFact(f"{event.id} of {event.user}", event.account, homes[event.user])


def _fact(what: str, live: object, told: object) -> TrustedFact:
    return TrustedFact(what, str(live), str(told))
