"""How does the demo roll its dice? The only randomness in Waymark: every throw is named, so every run is the same."""

from random import Random  # noqa: TID251  the one place

from shared.ids import derived


def dice(*cause: object) -> Random:
    """Dice of this cause: one account's throws never disturb another's."""
    return Random(derived("demo dice", *cause))  # noqa: S311  nothing here is secret
