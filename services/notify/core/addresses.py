"""Can mail go to this address? Plain ASCII, no control characters, nothing a mail server could take for a command."""

import re

_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)


def deliverable(address: str | None) -> bool:
    """Whether it may stand in an envelope. Whether somebody reads it, only sending tells."""
    return bool(address) and len(address or "") <= 254 and _ADDRESS.fullmatch(address or "") is not None
