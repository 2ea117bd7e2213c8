"""Plans of a history: what notify planned, and what the two topics that it reads give in the order of cause."""

from collections import defaultdict
from hashlib import sha256

import msgspec
from sqlalchemy import select, text

from services.notify.core.delivery import Decision
from services.notify.core.engine import apply
from services.notify.core.playbook import Playbook
from services.notify.core.state import Account
from services.notify.tables import delivery
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.lifecycle import ClockAdvanced, LifecycleMessage
from shared.contracts.topics import ADVOCACY, LIFECYCLE, decoder
from tests.chaos.evidence import Replayed
from tests.simulation.collect import TopicValue, rows
from tests.simulation.deployment import SimulatedDeployment

_decoders = {topic.name: decoder(topic) for topic in (LIFECYCLE, ADVOCACY)}
_Plan = set[tuple[str, str, str]]


async def plans(deployment: SimulatedDeployment, book: Playbook, records: list[TopicValue]) -> dict[str, Replayed]:
    """For each account that began with a history, and whose people said nothing: its plans, as they are and again."""
    messages: dict[str, dict[int, LifecycleMessage]] = defaultdict(dict)
    requests: dict[str, dict[str, OutreachRequested]] = defaultdict(dict)
    for record in records:
        if record.topic in _decoders:
            said = _decoders[record.topic](record.value)
            if record.topic == LIFECYCLE.name:
                messages[said.account].setdefault(said.seq, said)
            elif isinstance(said, OutreachRequested):
                requests[said.account].setdefault(said.id, said)
    spoke = {row.account for row in await rows(deployment, "notify", text("SELECT account FROM seen_consent"))}
    live: dict[str, _Plan] = defaultdict(set)
    for row in await rows(deployment, "notify", select(delivery).where(delivery.c.history)):
        live[row.account].add((row.id, row.at.isoformat(), row.reason))
    return {
        f"the plans of {name}": Replayed(
            _hash(live[name]), _hash(_by_cause(book, [told[seq] for seq in sorted(told)], [*requests[name].values()]))
        )
        for name, told in sorted(messages.items())
        if told[min(told)].history and name not in spoke
    }


def _by_cause(book: Playbook, messages: list[LifecycleMessage], requests: list[OutreachRequested]) -> _Plan:
    """Each message, then the requests behind it, until the wall clock takes over."""
    account, planned = Account(messages[0].account), list[Decision]()
    for message in messages:
        for one in (message, *(asked for asked in requests if asked.behind == message.seq)):
            account, decisions = apply(account, one, book)
            planned += decisions
        if isinstance(message, ClockAdvanced) and message.live:
            break
    return {(one.id, one.at.isoformat(), one.reason) for one in planned if one.history}


def _hash(plan: _Plan) -> str:
    return sha256(msgspec.json.encode(sorted(plan))).hexdigest()
