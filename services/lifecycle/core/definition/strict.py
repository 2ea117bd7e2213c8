"""What do all parts of the definition share? No key that nobody knows."""

import msgspec


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Refuses unknown keys, so that a typing mistake is a mistake."""
