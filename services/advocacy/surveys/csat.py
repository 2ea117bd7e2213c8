"""How satisfied are you? Customer satisfaction: 1 to 5, the share of fours and fives."""

from collections.abc import Sequence

from services.advocacy.core.kinds import Kind
from services.advocacy.core.statistics import Estimate, share


def group(score: int) -> str:
    return "satisfied" if score >= 4 else "neutral" if score == 3 else "dissatisfied"


def summary(scores: Sequence[int]) -> Estimate | None:
    return share(sum(score >= 4 for score in scores), len(scores))


CSAT = Kind(
    name="csat",
    scores=range(1, 6),
    low="Very dissatisfied",
    high="Very satisfied",
    fact="csat_answered",
    groups=group,
    summary=summary,
)
