"""How often may we write to a person? The words of `config/budget.yaml`, as data."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from shared.contracts.outreach import OutreachClass


class Cap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many contacts in a rolling time, for each person or for the whole account.

    Counts every class but transactional, or only the `classes` and `topics` named.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"most": "max"}

    name: str
    max: int
    within: str
    account: bool = False
    classes: list[OutreachClass] = []
    topics: list[str] = []


class Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When not to write, on the person's own clock. `from` after `until`: the night; both alike: no night."""

    from_: str = msgspec.field(name="from", default="20:00")
    until: str = "08:00"
    weekends: bool = True


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """While `when` holds, messages of these classes wait."""

    when: str
    classes: list[OutreachClass]


class BudgetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. `holdout_salt` draws the held-out accounts: change it and others are held out."""

    caps: list[Cap]
    pause: Pause
    quiet: Quiet | None = None
    timezone: str = "UTC"
    holdout_salt: str = "waymark"
    open_task: str = "30d"
