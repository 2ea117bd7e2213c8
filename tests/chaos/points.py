"""At which points can a process be told to die, which no signal could hit? And how is each ordered and told?"""

import signal

INSIDE, AFTER, NO_RETURN, ACCEPTED = (
    "exit in a transaction",
    "exit after commit",
    "exit at no return",
    "exit unrecorded",
)
POINTS = {point: 71 + place for place, point in enumerate((INSIDE, AFTER, NO_RETURN, ACCEPTED))}
"""Each point and the exit code that tells it was reached."""


def signal_of(point: str) -> int:
    """Orders the next one."""
    return signal.SIGRTMIN + POINTS[point] - 70
