"""Parts that step kinds share: the base of their schema, and what a play may name."""

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple

import msgspec

from services.notify.core.channels import Channels
from services.notify.core.conditions import LifecycleNames
from shared.durations import Duration


class Delay(Duration):
    """A duration that may be none: 0d is at once."""

    shortest = timedelta()


class StepKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """A kind of step; its fields are its keys in a play's file.

    A kind has `check(at, report, offered)`: reports the mistakes the types cannot find, and gives the checked step, whose
    `fire` is what it does when it is due. Its line stands in `table.py`.
    """

    after: Delay
    """The time from the start of the play; `0d` is at once."""


class Offered(NamedTuple):
    """What a play may name: templates, channels, and the lifecycle definition's names where there is one."""

    templates: Collection[str]
    channels: Channels
    names: LifecycleNames | None
