"""How does a decision become a message, with the evidence for it?"""

from typing import Any

from services.lifecycle.core.recent_events import refs
from services.lifecycle.core.rules import Rule
from services.lifecycle.core.turn import Turn
from shared.contracts.evidence import Clause, EventRef, Evidence
from shared.contracts.lifecycle import LifecycleMessage, Snapshot
from shared.ids import derived


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
        history=account.replaying,
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
        since=turn.account.holding_since.get(rule.name),
    )


def plain_evidence(
    turn: Turn, rule: str, reason: str, events: list[EventRef], clauses: list[Clause] | None = None
) -> Evidence:
    """Why, where an event or the score itself decided and no rule of the file."""
    return Evidence(rule=rule, definition=turn.plan.version, reason=reason, clauses=clauses or [], events=events)


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
