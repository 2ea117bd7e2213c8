"""What do the run and the zygote say to each other?"""

import msgspec


class Order(msgspec.Struct):
    """Start `services` in a process called `name`."""

    name: str
    services: list[str]
    environment: dict[str, str]
    log: str


class Told(msgspec.Struct, omit_defaults=True):
    """`name` runs as `pid`; or, with a status, it does not any more (negative: the signal that ended it)."""

    name: str
    pid: int
    status: int | None = None
