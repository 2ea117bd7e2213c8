"""Which rules fire now, until nothing moves any more?

Within one instant a stage is entered at most once and a flag changes at most once: chains end, and nothing plays ping-pong.
"""

from services.lifecycle.core.metrics.builtin import FLAGS, MILESTONES, STAGE
from services.lifecycle.core.plan import EVERYTHING
from services.lifecycle.core.recent_events import refs
from services.lifecycle.core.rules import EdgeRule, FlagRule, MilestoneRule, Rule, SignalRule
from services.lifecycle.core.state import SignalState
from services.lifecycle.core.tell import evidence, plain_evidence, snapshot, tell
from services.lifecycle.core.turn import DAY, Turn, midnight
from shared.contracts.evidence import Evidence
from shared.contracts.lifecycle import FlagChanged, MilestoneReached, SignalRaised, StageChanged


def settle(turn: Turn, moved: int) -> None:
    """Let the rules decide that read what moved, and those that read what they move; then announce signals."""
    account, plan = turn.account, turn.plan
    known = account.known_stores
    touched = plan.touched(moved, account.stage, known)
    if touched.idle:
        return
    stages, flags, every = {account.stage}, set[str](), moved
    while moved:
        moved = _milestones(turn, touched.milestones) | _flags(turn, touched.flags, flags)
        moved |= _edges(turn, touched.edges, stages)
        if moved:
            every |= moved
            touched = plan.touched(moved, account.stage, known)
    _signals(turn, (touched if every == moved else plan.touched(every, account.stage, known)).signals)


def enter(turn: Turn, stage: str, why: Evidence) -> None:
    """Change the stage and say so."""
    account, plan = turn.account, turn.plan
    previous = account.stage or None
    account.stage, account.entered_at = stage, account.clock
    for name in plan.edge_names - plan.names_out_of(stage):
        account.holding_since.pop(name, None)
    turn.clear()
    tell(turn, StageChanged, previous=previous, stage=stage, evidence=why, snapshot=snapshot(turn))
    if stage in plan.terminal:
        _stop(turn)
    elif account.next_due is None:
        account.next_due = midnight(account.clock) + DAY


def _stop(turn: Turn) -> None:
    """The clock stands still: flags come down, and what lasted is over."""
    account = turn.account
    account.next_due = None
    for flag in list(account.flags):
        why = plain_evidence(turn, f"{flag} cleared", f"The account is {account.stage}.", refs(account, ()))
        _lower(turn, flag, why)
    account.holding_since.clear()
    for raised in account.signals.values():
        raised.active = False


def _milestones(turn: Turn, rules: tuple[MilestoneRule, ...]) -> int:
    moved = 0
    for one in rules:
        if one.name not in turn.account.milestones and one.rule.ready(turn):
            why = evidence(turn, one.rule)
            reach(turn, one.name, why)
            moved = turn.plan.bits[MILESTONES]
    return moved


def reach(turn: Turn, name: str, why: Evidence) -> None:
    """A milestone that conditions reach is dated by the account's clock."""
    account = turn.account
    account.milestones[name] = account.clock
    turn.clear()
    tell(turn, MilestoneReached, milestone=name, reached_at=account.clock, evidence=why, snapshot=snapshot(turn))


def _flags(turn: Turn, rules: tuple[FlagRule, ...], done: set[str]) -> int:
    moved, account = 0, turn.account
    for one in rules:
        raised = one.name in account.flags
        rule = one.down if raised else one.up
        if one.name in done or not rule.ready(turn):
            continue
        done.add(one.name)
        _change(turn, one, rule, raised)
        moved = turn.plan.bits[FLAGS]
    return moved


def _change(turn: Turn, flag: FlagRule, rule: Rule, raised: bool) -> None:
    why, account = evidence(turn, rule), turn.account
    account.holding_since.pop(rule.name, None)
    if raised:
        _lower(turn, flag.name, why)
        return
    account.flags[flag.name] = account.clock
    turn.clear()
    tell(turn, FlagChanged, flag=flag.name, raised=True, evidence=why, snapshot=snapshot(turn))


def _lower(turn: Turn, flag: str, why: Evidence) -> None:
    turn.account.flags.pop(flag, None)
    turn.clear()
    tell(turn, FlagChanged, flag=flag, raised=False, evidence=why, snapshot=snapshot(turn))


def _edges(turn: Turn, edges: tuple[EdgeRule, ...], done: set[str]) -> int:
    """The first edge in the file that is ready and leads somewhere new. No rule was asked while the account slept."""
    for edge in edges:
        ready = edge.rule.ready(turn)
        if ready and edge.to not in done and _dwelt(turn, edge):
            done.add(edge.to)
            asleep = turn.account.stage in turn.plan.terminal
            enter(turn, edge.to, evidence(turn, edge.rule))
            return EVERYTHING if asleep else turn.plan.bits[STAGE]
    return 0


def _dwelt(turn: Turn, edge: EdgeRule) -> bool:
    return not edge.min_dwell or turn.midnight() - turn.account.entered_at >= edge.min_dwell


def _signals(turn: Turn, rules: tuple[SignalRule, ...]) -> None:
    for one in rules:
        raised = turn.account.signals.get(one.name)
        if not one.rule.ready(turn):
            if raised:
                raised.active = False
        elif not raised or (not raised.active and _cooled_down(turn, raised, one)):
            _raise(turn, one)


def _cooled_down(turn: Turn, raised: SignalState, signal: SignalRule) -> bool:
    return not signal.cooldown or turn.midnight() - raised.at >= signal.cooldown


def _raise(turn: Turn, signal: SignalRule) -> None:
    why, account = evidence(turn, signal.rule), turn.account
    account.signals[signal.name] = SignalState(account.clock, active=True)
    tell(turn, SignalRaised, signal=signal.name, evidence=why, snapshot=snapshot(turn))
