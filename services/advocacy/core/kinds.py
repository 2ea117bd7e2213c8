"""What is a kind of survey? The scale it asks on and how its answers are summed up."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from services.advocacy.core.refusal import Refused
from services.advocacy.core.statistics import Estimate

COMMENT_LIMIT = 2000


class Kind(NamedTuple):
    """One kind. `fact` is the usage event with which answers given elsewhere come in, `groups` names each score's group."""

    name: str
    scores: range
    low: str
    high: str
    fact: str
    groups: Callable[[int], str]
    summary: Callable[[Sequence[int]], Estimate | None]


class Ballot(NamedTuple):
    """A valid answer, not yet given."""

    score: int
    comment: str


def ballot(kind: Kind, score: object, comment: str = "") -> Ballot:
    """Read an answer as it was posted. Raises Refused where it is none."""
    said = "".join(letter for letter in comment.strip() if letter.isprintable() or letter in "\n\t")
    if len(said) > COMMENT_LIMIT:
        raise Refused("invalid", f"Please keep the comment under {COMMENT_LIMIT} characters; this one has {len(said)}.")
    return Ballot(scored(kind, score), said)


def scored(kind: Kind, score: object) -> int:
    """The score, whether it came as text or as a number. Raises Refused."""
    number = _whole(score)
    if number is None or number not in kind.scores:
        raise Refused("invalid", f"Please choose a number from {kind.scores[0]} to {kind.scores[-1]}.")
    return number


def preselected(kind: Kind, text: str | None) -> int | None:
    """The score a link suggests: shown as chosen, never counted. Nonsense suggests nothing."""
    number = _whole(text)
    return number if number in kind.scores else None


def _whole(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 4 else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == value // 1 else None
