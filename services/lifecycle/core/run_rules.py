"""Running the rules: those that read what moved decide, then those that read what they move, until nothing moves any more.

Within one instant a stage is entered at most once and a flag changes at most once: chains end, and no two rules undo each
other for ever.
"""

from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.evaluation import (
    DAY,
    FLAGS,
    MILESTONES,
    STAGE,
    Evaluation,
    Reached,
    clear_flag,
    enter_stage,
    midnight,
    raise_flag,
    reach_milestone,
)
from services.lifecycle.core.rules import EdgeRule, FlagRule, MilestoneRule, SignalRule
from services.lifecycle.core.state import SignalState, latest_events
from shared.contracts.evidence import Evidence
from shared.contracts.lifecycle import FlagChanged, MilestoneReached, SignalRaised, StageChanged
from shared.wording import spoken


def run_rules(evaluation: Evaluation, compiled: CompiledDefinition) -> None:
    """Ask the rules that read what moved since they were last asked; signals are raised when all else is decided."""
    account = evaluation.account
    moved, evaluation.moved = evaluation.moved, 0
    known_stores = account.known_stores
    affected = compiled.affected_rules(moved, account.stage, known_stores)
    if affected.idle:
        return
    entered, changed, all_moved, to_signal = {account.stage}, set[str](), moved, affected
    while moved:
        _reach_milestones(evaluation, affected.milestones)
        _change_flags(evaluation, affected.flags, changed)
        _change_stage(evaluation, compiled, affected.edges, entered)
        moved, evaluation.moved = evaluation.moved, 0
        if moved:
            all_moved |= moved
            affected = compiled.affected_rules(moved, account.stage, known_stores)
            to_signal = compiled.affected_rules(all_moved, account.stage, known_stores)
    _raise_signals(evaluation, to_signal.signals)


def enter(evaluation: Evaluation, compiled: CompiledDefinition, stage: str, why: Evidence) -> None:
    """Change the stage and announce it."""
    account = evaluation.account
    previous = account.stage or None
    evaluation.write_one(STAGE, enter_stage, stage)
    for name in compiled.edge_names - compiled.edge_names_out_of(stage):
        account.holding_since.pop(name, None)
    evaluation.record_decision(
        StageChanged, previous=previous, stage=stage, evidence=why, snapshot=evaluation.snapshot()
    )
    if stage in compiled.terminal:
        _stop(evaluation)
    elif account.next_due is None:
        account.next_due = midnight(account.clock) + DAY


def _stop(evaluation: Evaluation) -> None:
    """The clock stands still: flags are cleared, and no rule holds any longer."""
    account = evaluation.account
    account.next_due = None
    for flag in list(account.flags):
        reason, events = f"The account is {spoken(account.stage)}.", latest_events(account, ())
        _clear(evaluation, flag, evaluation.evidence(f"{flag} cleared", reason, events))
    account.holding_since.clear()
    for signal in account.signals.values():
        signal.active = False


def _reach_milestones(evaluation: Evaluation, rules: tuple[MilestoneRule, ...]) -> None:
    """A milestone that conditions reach is dated by the account's clock."""
    account = evaluation.account
    for each in rules:
        if each.name not in account.milestones and each.rule.ready(evaluation):
            why = each.rule.evidence(evaluation)
            evaluation.write_one(MILESTONES, reach_milestone, Reached(each.name, account.clock))
            evaluation.record_decision(
                MilestoneReached,
                milestone=each.name,
                reached_at=account.clock,
                evidence=why,
                snapshot=evaluation.snapshot(),
            )


def _change_flags(evaluation: Evaluation, rules: tuple[FlagRule, ...], changed: set[str]) -> None:
    account = evaluation.account
    for each in rules:
        is_raised = each.name in account.flags
        rule = each.clear_rule if is_raised else each.raise_rule
        if each.name in changed or not rule.ready(evaluation):
            continue
        changed.add(each.name)
        why = rule.evidence(evaluation)
        account.holding_since.pop(rule.name, None)
        if is_raised:
            _clear(evaluation, each.name, why)
        else:
            evaluation.write_one(FLAGS, raise_flag, each.name)
            _record_flag(evaluation, each.name, why, raised=True)


def _clear(evaluation: Evaluation, flag: str, why: Evidence) -> None:
    evaluation.write_one(FLAGS, clear_flag, flag)
    _record_flag(evaluation, flag, why, raised=False)


def _record_flag(evaluation: Evaluation, flag: str, why: Evidence, *, raised: bool) -> None:
    evaluation.record_decision(FlagChanged, flag=flag, raised=raised, evidence=why, snapshot=evaluation.snapshot())


def _change_stage(
    evaluation: Evaluation, compiled: CompiledDefinition, edges: tuple[EdgeRule, ...], entered: set[str]
) -> None:
    """The first edge in the file that is ready and leads to a stage not entered before in this instant."""
    for edge in edges:
        ready = edge.rule.ready(evaluation)
        if ready and edge.to not in entered and _has_dwelt(evaluation, edge):
            entered.add(edge.to)
            was_terminal = evaluation.account.stage in compiled.terminal
            enter(evaluation, compiled, edge.to, edge.rule.evidence(evaluation))
            if was_terminal:  # no rule was asked while time stood still
                evaluation.everything_moved()
            return


def _has_dwelt(evaluation: Evaluation, edge: EdgeRule) -> bool:
    return not edge.min_dwell or evaluation.midnight() - evaluation.account.entered_at >= edge.min_dwell


def _raise_signals(evaluation: Evaluation, rules: tuple[SignalRule, ...]) -> None:
    signals = evaluation.account.signals
    for each in rules:
        signal = signals.get(each.name)
        if not each.rule.ready(evaluation):
            if signal:
                signal.active = False
        elif not signal or (not signal.active and _has_cooled_down(evaluation, signal, each)):
            why = each.rule.evidence(evaluation)
            signals[each.name] = SignalState(evaluation.account.clock, active=True)
            evaluation.record_decision(SignalRaised, signal=each.name, evidence=why, snapshot=evaluation.snapshot())


def _has_cooled_down(evaluation: Evaluation, signal: SignalState, rule: SignalRule) -> bool:
    return not rule.cooldown or evaluation.midnight() - signal.at >= rule.cooldown
