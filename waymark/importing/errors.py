"""Errors of an import, and what to do about each.

ImportStopped
├── Unreadable      the file is missing, damaged or cut off: mend it; what was posted is not posted twice
├── ServerRefused   the server refused a batch and would again: the message says what to change
└── GaveUp          the server was not reachable, or busy, for too long: start the same import again later
"""

from shared.failures import Failure


class ImportStopped(Failure):
    """The import ended before the file did. The same import may be started again: its ids are the same."""

    code = "import_stopped"


class Unreadable(ImportStopped):
    """The file is missing, damaged or cut off."""


class ServerRefused(ImportStopped):
    """A status that no retry changes."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        advice = _ADVICE.get(status, "the server does not take this request")
        super().__init__(f"refused with {status}: {advice}" + (f" (it said: {message})" if message else ""))


class GaveUp(ImportStopped):
    """No success before the deadline."""


_ADVICE = {
    400: "the batch is not JSON it understands; is this URL a Waymark server of the same version?",
    401: "it does not know this write key",
    403: "this write key may not import",
    404: "there is no /v1/batch there; check the URL",
    413: "the batch is too large; choose a smaller --batch-size",
}
