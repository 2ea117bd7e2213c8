"""Status machines as data: a table `status -> allowed next statuses`, and one transition that refuses the rest."""

from collections.abc import Collection, Mapping
from typing import Generic, TypeVar

Status = TypeVar("Status", bound=str)


class IllegalTransition(ValueError):  # noqa: N818  the name says what happened
    """A status cannot follow the current one: a bug, or two writers without a lock."""


class StatusMachine(Generic[Status]):
    """The statuses of one kind of thing and which may follow which. A status followed by nothing is final.

    `statuses` are the values of the type (`get_args(DeliveryStatus)`). Raises ValueError at import where the table
    lacks a status of the type, or names one that the type does not have.
    """

    def __init__(self, name: str, statuses: Collection[str], allowed: Mapping[Status, Collection[Status]]) -> None:
        unknown = {*allowed, *(status for following in allowed.values() for status in following)} - {*statuses}
        if missing := {*statuses} - {*allowed}:
            raise ValueError(f"the table of {name} lacks {', '.join(sorted(missing))}")
        if unknown:
            raise ValueError(f"the table of {name} names {', '.join(sorted(unknown))}, which its type does not have")
        self.name = name
        self._allowed = {status: frozenset(following) for status, following in allowed.items()}

    def transition(self, current: Status, to: Status) -> Status:
        """The new status. Raises IllegalTransition where it may not follow."""
        if not self.allows(current, to):
            raise IllegalTransition(f"a {self.name} that is {current} cannot become {to}")
        return to

    def allows(self, current: Status, to: Status) -> bool:
        """Whether `to` may follow `current`."""
        return to in self._allowed[current]

    def before(self, to: Status) -> frozenset[Status]:
        """The statuses that `to` may follow: the condition of an UPDATE."""
        return frozenset(status for status, following in self._allowed.items() if to in following)

    @property
    def final(self) -> frozenset[Status]:
        """The statuses that nothing follows."""
        return frozenset(status for status, following in self._allowed.items() if not following)
