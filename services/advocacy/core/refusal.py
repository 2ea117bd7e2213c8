"""What do we say when somebody may not do this?"""

from typing import Literal

Why = Literal["closed", "invalid", "forbidden", "unknown"]


class Refused(Exception):  # noqa: N818  it is an answer to a person, not a fault
    """Not done, and the person who asked is told `reason`.

    `why` picks the page or status: closed (410), invalid (422, ask again), forbidden (409), unknown (404).
    """

    def __init__(self, why: Why, reason: str) -> None:
        self.why: Why = why
        self.reason = reason
        super().__init__(reason)
