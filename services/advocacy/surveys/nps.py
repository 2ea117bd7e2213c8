"""How likely are you to recommend us? Net Promoter Score: 0 to 10, promoters less detractors."""

from collections.abc import Sequence

from services.advocacy.core.kinds import Kind
from services.advocacy.core.statistics import Estimate, net


def group(score: int) -> str:
    return "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"


def summary(scores: Sequence[int]) -> Estimate | None:
    groups = [group(score) for score in scores]
    return net(groups.count("promoter"), groups.count("detractor"), len(groups))


NPS = Kind(
    name="nps",
    scores=range(11),
    low="Not at all likely",
    high="Extremely likely",
    fact="nps_answered",
    groups=group,
    summary=summary,
)
