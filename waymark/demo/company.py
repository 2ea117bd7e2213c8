"""What would Quayside have sent until today? All accounts' records, merged by time, as a stream."""

import heapq
from collections.abc import Iterator
from datetime import date
from operator import itemgetter
from typing import Any

from waymark.demo.cast import cast
from waymark.demo.life import life


def company(seed: int, today: date) -> Iterator[dict[str, Any]]:
    """Segment-shaped records, the oldest first; equal arguments give equal records."""
    return heapq.merge(*(life(account, today) for account in cast(seed, today)), key=itemgetter("timestamp"))
