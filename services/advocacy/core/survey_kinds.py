"""Survey kinds: the scale that a survey asks on, the group of each score, and the figure that sums the answers up.

To add a kind, write its class and put it into `_KINDS` (docs/howto/add-a-survey-kind.md).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from services.advocacy.core.errors import Rejected
from services.advocacy.core.statistics import Estimate, net, share
from shared.values import read_score

MAX_COMMENT_LENGTH = 2000


class SurveyKind(ABC):
    """One kind of survey. A class attribute may stand for each of the abstract properties."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name in a survey's file."""

    @property
    @abstractmethod
    def scores(self) -> range:
        """The scale."""

    @property
    @abstractmethod
    def low(self) -> str:
        """The label of the scale's lower end."""

    @property
    @abstractmethod
    def high(self) -> str:
        """The label of the scale's upper end."""

    @property
    def fact(self) -> str:
        """The usage event with which answers that were given elsewhere come in; lifecycle makes one of each of ours too."""
        return f"{self.name}_answered"

    @abstractmethod
    def group(self, score: int) -> str:
        """The group a score counts in."""

    @abstractmethod
    def summary(self, scores: Sequence[int]) -> Estimate | None:
        """The figure of these answers; None while there are too few."""


class NPS(SurveyKind):
    """Net Promoter Score: 0 to 10, the percentage of promoters less that of detractors."""

    name = "nps"
    scores = range(11)
    low = "Not at all likely"
    high = "Extremely likely"

    def group(self, score: int) -> str:
        return "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"

    def summary(self, scores: Sequence[int]) -> Estimate | None:
        groups = [self.group(score) for score in scores]
        return net(groups.count("promoter"), groups.count("detractor"), len(groups))


class CSAT(SurveyKind):
    """Customer satisfaction: 1 to 5, the share of fours and fives."""

    name = "csat"
    scores = range(1, 6)
    low = "Very dissatisfied"
    high = "Very satisfied"

    def group(self, score: int) -> str:
        return "satisfied" if score >= 4 else "neutral" if score == 3 else "dissatisfied"

    def summary(self, scores: Sequence[int]) -> Estimate | None:
        return share(sum(self.group(score) == "satisfied" for score in scores), len(scores))


_KINDS: tuple[SurveyKind, ...] = (
    NPS(),
    CSAT(),
)
SURVEY_KINDS: Mapping[str, SurveyKind] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""Every kind by its name, as `kind:` in a survey's file has it."""


class Submission(NamedTuple):
    """A valid answer, not recorded yet."""

    score: int
    comment: str


def parse_submission(kind: SurveyKind, score: object, comment: str = "") -> Submission:
    """Read an answer as it was posted. Raises Rejected for a score off the scale or a comment that is too long."""
    text = "".join(letter for letter in comment.strip() if letter.isprintable() or letter in "\n\t")
    if len(text) > MAX_COMMENT_LENGTH:
        too_long = f"Please keep the comment under {MAX_COMMENT_LENGTH} characters; this one has {len(text)}."
        raise Rejected("invalid", too_long)
    return Submission(parse_score(kind, score), text)


def parse_score(kind: SurveyKind, score: object) -> int:
    """The score, whether it came as text or as a number. Raises Rejected."""
    number = read_score(score, kind.scores)
    if number is None:
        raise Rejected("invalid", f"Please choose a number from {kind.scores[0]} to {kind.scores[-1]}.")
    return number


def preselected_score(kind: SurveyKind, text: str | None) -> int | None:
    """The score that a link suggests: shown as chosen, never counted. None for what is no score."""
    return read_score(text, kind.scores)
