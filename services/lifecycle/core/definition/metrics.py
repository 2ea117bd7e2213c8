"""Which kinds of metric are there, and what does each ask for?

Days are calendar days (UTC) of the account's own clock; "in 7 days" is today and the six days before. Windows over
events reach back 366 days, windows over people and features 64 (a bitmap each).
"""

from services.lifecycle.core.definition.strict import Strict

EVENT_DAYS = 366
PEOPLE_DAYS = 64


class Kind(Strict, frozen=True, tag_field="kind"):
    """What every metric has: its kind."""


class Count(Kind, frozen=True, tag="count"):
    """Events of a class in `days`; `weight` names a property that says how many one event stands for."""

    of: str
    days: int
    weight: str | None = None


class Sum(Kind, frozen=True, tag="sum"):
    """Sum of a property of a class's events in `days`."""

    of: str
    property: str
    days: int


class ActiveDays(Kind, frozen=True, tag="active_days"):
    """Days of the last `days` on which the account had an event of the class."""

    of: str
    days: int


class ActiveUsers(Kind, frozen=True, tag="active_users"):
    """Users with an event of the class in `days`."""

    of: str
    days: int


class UserDays(Kind, frozen=True, tag="user_days"):
    """Pairs of user and day with an event of the class in `days`: over `days` it is the mean of daily actives."""

    of: str
    days: int


class Features(Kind, frozen=True, tag="features"):
    """Distinct features of the class's events in `days`."""

    of: str
    days: int


class DaysSince(Kind, frozen=True, tag="days_since"):
    """Calendar days since the last (or with `first`, the first) event of the class."""

    of: str
    first: bool = False


class DaysSinceMilestone(Kind, frozen=True, tag="days_since_milestone"):
    """Calendar days since a milestone was reached."""

    of: str


class Latest(Kind, frozen=True, tag="latest"):
    """A property of the latest event of the class that has it, unknown again after `expires`."""

    of: str
    property: str
    expires: str | None = None


class Open(Kind, frozen=True, tag="open"):
    """Opened and not closed. With `key` (a ticket's id) each is counted by its latest event, else opened minus closed."""

    opened: list[str]
    closed: list[str]
    key: str | None = None


class Trait(Kind, frozen=True, tag="trait"):
    """A trait of the account, as last told. A list counts as its length."""

    of: str


class DaysUntil(Kind, frozen=True, tag="days_until"):
    """Calendar days until the date in a trait; negative once it is past."""

    of: str


class Trend(Kind, frozen=True, tag="trend"):
    """Rate in the last `recent` days over the rate in the `prior` days before, less one; unknown before both have passed."""

    of: str
    recent: int
    prior: int
    weight: str | None = None


class Formula(Kind, frozen=True, tag="formula"):
    """CEL over other metrics; unknown where one it needs is unknown."""

    cel: str


Metric = (
    Count
    | Sum
    | ActiveDays
    | ActiveUsers
    | UserDays
    | Features
    | DaysSince
    | DaysSinceMilestone
    | Latest
    | Open
    | Trait
    | DaysUntil
    | Trend
    | Formula
)
