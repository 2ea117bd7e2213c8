"""Possible values: what a metric can be, and whether conditions on metrics can hold at all, or at once.

Only comparisons with a literal are understood. Of a metric as many values are tried as its comparisons can tell apart: the
literals, one between any two, one below and one above.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, product
from math import ceil, floor, inf, prod
from typing import NamedTuple

from services.lifecycle.core.schema_types import AnyOf, When
from shared.contracts.evidence import Value
from shared.expr import Comparison, only_comparison

_MAX_WAYS = 1_000
"""So many ways in which the alternatives of a rule combine are looked at; a rule with more is taken as it is."""


class Values(NamedTuple):
    """The values that a metric can have, if it is known. `is_whole`: whole numbers only; `words`: one of these texts."""

    least: float = -inf
    most: float = inf
    is_whole: bool = False
    words: frozenset[str] | None = None
    is_flag: bool = False
    is_anything: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it is a number and nothing else."""
        return self.words is None and not self.is_flag and not self.is_anything

    def to_try(self, compared: Iterable[Comparison]) -> list[Value]:
        """One value of each range that these comparisons tell apart."""
        if self.words is not None:
            return list(self.words)
        if self.is_flag:
            return [True, False]
        texts = {one.literal for one in compared if isinstance(one.literal, str)}
        literals = {one.literal for one in compared if isinstance(one.literal, float)}
        marks = sorted({0.0, *literals, *({self.least, self.most} - {-inf, inf})})
        tried = {*marks, *(middle for low, high in pairwise(marks) for middle in (low + (high - low) / 2, low + 1))}
        tried |= {marks[0] - 1, marks[-1] + 1}
        if self.is_whole:
            tried = {float(round_(number)) for number in tried for round_ in (floor, ceil)}
        numbers: list[Value] = [number for number in sorted(tried) if self.least <= number <= self.most]
        return [*numbers, *texts, *((True, False, "") if self.is_anything else ())]


NUMBER = Values()
AMOUNT = Values(least=0)
COUNT = Values(least=0, is_whole=True)
ANYTHING = Values(is_anything=True)
FLAG = Values(is_flag=True)


class Demand(NamedTuple):
    """What a rule asks: of each group one comparison, and of those refused none. None is an expression that is not understood."""

    groups: Sequence[Sequence[Comparison | None]]
    refused: Sequence[Comparison | None] = ()


def demand(when: When, unless: Iterable[str] = ()) -> Demand:
    """What these conditions ask."""
    groups = [[only_comparison(text) for text in (item.any if isinstance(item, AnyOf) else (item,))] for item in when]
    return Demand(groups, [only_comparison(text) for text in unless])


def can_hold(asked: Demand, values: Mapping[str, Values]) -> bool:
    """Whether some values satisfy it, as far as it is understood."""
    too_many = prod(map(len, asked.groups)) > _MAX_WAYS
    return too_many or any(
        _agree([one for one in way if one is not None], asked.refused, values) for way in product(*asked.groups)
    )


def can_hold_together(one: Demand, other: Demand, values: Mapping[str, Values]) -> list[str]:
    """Of two demands the metrics on whose values alone both hold; none where they do not, or where that cannot be told."""
    if prod(len(group) for group in (*one.groups, *other.groups)) > _MAX_WAYS:
        return []
    for first, second in product(product(*one.groups), product(*other.groups)):
        compared = [each for each in (*first, *second) if each is not None]
        names = {each.name for each in first if each}
        understood = len(compared) == len(first) + len(second)
        refused = [*one.refused, *other.refused]
        if understood and names == {each.name for each in second if each} and _agree(compared, refused, values):
            return sorted(names)
    return []


def _agree(compared: Sequence[Comparison], refused: Sequence[Comparison | None], values: Mapping[str, Values]) -> bool:
    """Whether each metric has a value that satisfies all that is asked of it. What is refused of an unknown one does not matter."""
    for name in {one.name for one in compared}:
        wanted = [one for one in compared if one.name == name]
        unwanted = [one for one in refused if one is not None and one.name == name]
        tried = values.get(name, ANYTHING).to_try([*wanted, *unwanted])
        if not any(
            all(one.holds(value) for one in wanted) and not any(one.holds(value) for one in unwanted) for value in tried
        ):
            return False
    return True
