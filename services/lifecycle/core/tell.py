"""How does a decision become a message, with the evidence for it?"""

from datetime import datetime
from typing import Any

from services.lifecycle.core.rules import Rule
from services.lifecycle.core.state import Account
from services.lifecycle.core.turn import Turn
from shared.contracts.evidence import Clause, EventRef, Evidence
from shared.contracts.lifecycle import LifecycleMessage, Snapshot
from shared.ids import derived

MOST_REFS = 5


def tell(turn: Turn, kind: type[LifecycleMessage], **fields: Any) -> None:
    """Decide: the next message of the account."""
    account = turn.account
    account.seq += 1
    message = kind(
        id=derived("lifecycle", account.id, account.seq),
        account=account.id,
        seq=account.seq,
        at=account.clock,
        decided_at=turn.decided_at,
        history=account.held,
        **fields,
    )
    turn.decisions.append(message)


def evidence(turn: Turn, rule: Rule) -> Evidence:
    """Why this rule fired: to be asked before the state changes."""
    clauses = rule.condition.clauses(turn)
    return Evidence(
        rule=rule.name,
        definition=turn.plan.version,
        reason=rule.reason.render(turn, clauses),
        clauses=clauses,
        events=refs(turn.account, rule.classes),
        since=turn.account.since.get(rule.name),
    )


def plain_evidence(
    turn: Turn, rule: str, reason: str, events: list[EventRef], clauses: list[Clause] | None = None
) -> Evidence:
    """Why, where an event or the score itself decided and no rule of the file."""
    return Evidence(rule=rule, definition=turn.plan.version, reason=reason, clauses=clauses or [], events=events)


def refs(account: Account, classes: tuple[str, ...]) -> list[EventRef]:
    """The latest events of these classes; of any class where none of these was seen: what was known last."""
    known = [ref for name in classes for ref in account.refs.get(name, ())]
    found = known or [ref for each in account.refs.values() for ref in each]
    return sorted(set(found), key=_when)[-MOST_REFS:]


def remember(account: Account, name: str, ref: EventRef) -> None:
    """Keep the latest few events of a class, in order of time."""
    known = account.refs.get(name)
    if known is None:
        account.refs[name] = [ref]
        return
    known.append(ref)
    if len(known) > 1 and known[-2].at > ref.at:
        known.sort(key=_when)
    if len(known) > MOST_REFS:
        del known[0]


def snapshot(turn: Turn) -> Snapshot:
    """The account as it stands."""
    account = turn.account
    return Snapshot(
        stage=account.stage,
        entered_at=account.entered_at,
        flags=list(account.flags),
        band=account.health.band,
        score=account.health.score,
        metrics={name: turn[name] for name in turn.plan.shown},
        traits={name: told.value for name, told in account.traits.items()},
        milestones=dict(account.milestones),
    )


def _when(ref: EventRef) -> tuple[datetime, str]:
    return ref.at, ref.id
