"""What is posted? Batches of usage events of about 341 bytes, with ids that never repeat, made before the clock starts."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from bench.stream import FEATURES, name_of

_NOTE = "synthetic event of the bench, padded to the size that real ones have: " + "x" * 38
_encode = msgspec.json.encode


def event(number: int, account: int, stream: str, at: datetime) -> dict[str, object]:
    """One use of a feature."""
    return {
        "type": "track",
        "event": "Feature Used",
        "messageId": f"{stream}-{number:08d}",
        "timestamp": (at + timedelta(microseconds=number)).isoformat(),
        "userId": f"{name_of(account)}-u{number % 3}",
        "context": {"groupId": name_of(account)},
        "properties": {"feature": FEATURES[number % len(FEATURES)], "note": _NOTE},
    }


def bodies(numbers_and_accounts: Sequence[tuple[int, int]], size: int, stream: str, at: datetime) -> list[bytes]:
    """The events as bodies of `size` events each."""
    every = [event(number, account, stream, at) for number, account in numbers_and_accounts]
    return [_encode({"batch": every[start : start + size]}) for start in range(0, len(every), size)]
