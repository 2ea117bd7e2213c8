"""Said in context: what an event's `context` says of mail to its user, whatever the event itself is about.

SDKs repeat there what they remember of a person (`context.traits`), and what the person agreed to (`context.consent`). Only a no is
heard: what is repeated for months is no yes of today.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from services.ingest.core.segment import Context, mend
from shared.consent import declines_mail
from shared.mail_events import read_address, read_mail_event

_REMEMBERED_BYTES = 2048
_decode = msgspec.json.Decoder().decode


class SaidInContext(NamedTuple):
    """Whether the user wants no mail; the user's address, where context or event say something of mail."""

    no_to_mail: bool
    address: str | None


NOTHING_SAID = SaidInContext(no_to_mail=False, address=None)


def said_in_context(context: Context, name: str) -> SaidInContext:
    """What it says; of content that cannot be read nothing. `name` is the event's."""
    traits, consent = bytes(context.traits), bytes(context.consent)
    short = len(traits) + len(consent) <= _REMEMBERED_BYTES
    said = _read(traits, consent) if short else _read.__wrapped__(traits, consent)
    return said if said.no_to_mail or read_mail_event(name) is not None else NOTHING_SAID


@lru_cache(maxsize=1024)
def _read(traits: bytes, consent: bytes) -> SaidInContext:
    """Each call of a page repeats it, byte for byte."""
    of_person, agreed = _decoded(traits), _decoded(consent)
    person = of_person if isinstance(of_person, dict) else {}
    return SaidInContext(declines_mail(person) or declines_mail({"consent": agreed}), read_address(person))


def _decoded(content: bytes) -> Any:
    try:
        return _decode(content) if content else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return _decode(mend(content))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
