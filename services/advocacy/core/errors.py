"""Errors of the core: the answer to a person whose request is not granted."""

from typing import Literal

RejectionKind = Literal["closed", "ended", "invalid", "forbidden", "unknown"]
"""closed: too late; ended: the referral programme is over; invalid: ask for it once more; forbidden: the status does not allow it; unknown: no link or code of ours."""


class Rejected(Exception):  # noqa: N818  it is an answer to a person, not a fault
    """The request is not granted; the person who made it reads `reason`."""

    def __init__(self, kind: RejectionKind, reason: str) -> None:
        self.kind: RejectionKind = kind
        self.reason = reason
        super().__init__(reason)
