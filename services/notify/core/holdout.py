"""Is this account held out of a play, to see what the play is worth? Drawn once, by hash: it never changes sides."""

from hashlib import sha256

_WHOLE = 2**64


def held_out(salt: str, account: str, share: float) -> bool:
    """Whether it belongs to the share that is not contacted."""
    draw = int.from_bytes(sha256(f"{salt}\x1f{account}".encode()).digest()[:8])
    return draw < share * _WHOLE
