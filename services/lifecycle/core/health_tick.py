"""Did the health band change at this midnight, and which measures say so?"""

from collections.abc import Iterator

from services.lifecycle.core.health import HealthPlan
from services.lifecycle.core.metrics.builtin import HEALTH
from services.lifecycle.core.reason import told
from services.lifecycle.core.recent_events import refs
from services.lifecycle.core.state import HealthState
from services.lifecycle.core.tell import plain_evidence, snapshot, tell
from services.lifecycle.core.turn import Turn
from shared.contracts.evidence import Clause
from shared.contracts.lifecycle import Band, HealthChanged


def evaluate_health(turn: Turn) -> int:
    """Remember today's score, and announce another band when it has been so often enough. The bit of what moved."""
    plan, state = turn.plan.health, turn.account.health
    if plan is None:
        return 0
    before = (state.score, state.coverage, state.band)
    state.score, state.coverage = plan.evaluate(turn)
    if _leans(state, plan.band(state.score, state.band), plan.rules.evaluations):
        _announce(turn, plan, state)
    return turn.plan.bits[HEALTH] if before != (state.score, state.coverage, state.band) else 0


def _leans(state: HealthState, band: Band, evaluations: int) -> bool:
    """Has it been this other band for enough evaluations? Into and out of unknown, one is enough."""
    if band == state.band:
        state.candidate, state.candidate_evaluations = band, 0
        return False
    state.candidate_evaluations = state.candidate_evaluations + 1 if band == state.candidate else 1
    state.candidate = band
    return state.candidate_evaluations >= evaluations or "unknown" in {band, state.band}


def _announce(turn: Turn, plan: HealthPlan, state: HealthState) -> None:
    previous, state.band = state.band, state.candidate
    state.candidate_evaluations = 0
    turn.clear()
    clauses = list(breakdown(turn, plan))
    why = plain_evidence(turn, "health", _reason(state), refs(turn.account, turn.plan.health_classes), clauses)
    tell(
        turn,
        HealthChanged,
        previous=previous,
        band=state.band,
        score=state.score,
        coverage=state.coverage,
        evidence=why,
        snapshot=snapshot(turn),
    )


def breakdown(turn: Turn, plan: HealthPlan) -> Iterator[Clause]:
    """Each measure with its value, points and weight, satisfied where it counted; then the caps, satisfied where they bind."""
    for dimension in plan.dimensions:
        stale = dimension.stale is not None and dimension.stale.holds(turn)
        for measure in dimension.measures:
            score = None if stale else measure.score(turn)
            values = {measure.metric: turn[measure.metric], "points": score, "weight": measure.weight}
            yield Clause(
                text=f"{dimension.name}.{measure.name}",
                values=values,
                satisfied=score is not None,
                kind="measure",
                dimension=dimension.name,
                measure=measure.name,
                metric=measure.metric,
            )
    for name, condition, most in plan.caps:
        values = {of: turn[of] for of in condition.names}
        yield Clause(f"cap {name}", values, condition.holds(turn), most, kind="cap", cap=name)


def _reason(state: HealthState) -> str:
    known = f"{state.coverage:.0%} of the score's weight had data"
    if state.score is None:
        return f"Health is unknown: {known}."
    return f"Health is {state.band} at {told(state.score)} of 100; {known}."
