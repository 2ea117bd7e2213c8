"""What can stop an import, and what should one do then?

ImportStopped
├── Unreadable   the file cannot be read to its end: repair it; what was posted is not posted twice
├── Refused      the server said no and would again: the message says what to change
└── GaveUp       the server was not reachable, or busy, for too long: start the same import again later
"""


class ImportStopped(Exception):  # noqa: N818  a state, as the tree above tells it
    """The import ended before the file did. The same import may be started again: its ids are the same."""


class Unreadable(ImportStopped):
    """The file is damaged or cut off."""


class Refused(ImportStopped):
    """A status that no retry changes."""

    def __init__(self, status: int, said: str) -> None:
        self.status = status
        advice = _ADVICE.get(status, "the server does not take this request")
        super().__init__(f"refused with {status}: {advice}" + (f" (it said: {said})" if said else ""))


class GaveUp(ImportStopped):
    """No success before the deadline."""


_ADVICE = {
    400: "the batch is not JSON it understands; is this URL a Waymark server of the same version?",
    401: "it does not know this write key",
    403: "this write key may not import",
    404: "there is no /v1/batch there; check the URL",
    413: "the batch is too large; choose a smaller --batch-size",
}
