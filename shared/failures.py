"""Errors: every error of ours is one of four.

Failure
├── Refused     the caller's fault: say what to change (HTTP 4xx)
├── Retry       not now: the log or the database does not answer (HTTP 503: retry later)
├── Parked      one record cannot be taken: a person looks, the rest goes on
└── Halted      going on would lose or repeat something: stop this reader and call somebody
"""


class Failure(Exception):  # noqa: N818  the tree above is the vocabulary
    """The root. `code` is stable, for programs; the message is for people."""

    code = "failure"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code


class Refused(Failure):
    """The request is wrong. `status` is its HTTP status; `retry_after` the seconds after which it would be right (429)."""

    code = "refused"

    def __init__(
        self, message: str, code: str | None = None, status: int = 400, retry_after: float | None = None
    ) -> None:
        super().__init__(message, code)
        self.status = status
        self.retry_after = retry_after


class Retry(Failure):
    """Retry after `seconds`: nothing is wrong with the request."""

    code = "unavailable"

    def __init__(self, message: str, seconds: int = 2) -> None:
        super().__init__(message)
        self.seconds = seconds


class Parked(Failure):
    """The record waits for a person, or for what it is `about` to become known."""

    code = "parked"

    def __init__(self, message: str, code: str, about: str = "") -> None:
        super().__init__(message, code)
        self.about = about


class Halted(Failure):
    """The log or the cursor is not what it must be."""

    code = "halted"


def described(error: BaseException) -> str:
    """What is written about an error that nobody expected: its class, its text, and the file that it names."""
    return f"{type(error).__name__}: {error}" if isinstance(error, OSError) and error.filename else repr(error)
