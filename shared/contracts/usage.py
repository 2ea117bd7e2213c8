"""`usage.v1`: canonical usage events, one for each thing that a product's user did, keyed by account."""

from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

EventType = Literal["track", "identify", "group", "page", "screen", "alias"]

SourceKind = Literal["browser", "server", "import"]
"""Who tells an event. browser: anybody, its key is public; server: the company's own systems; import: the same, telling the past."""


BrowserClaim = Literal["history", "membership", "account"]
"""What rests on a browser's word alone, and is not believed.

history: that the event tells the past; membership: that its user, who belongs to one account, belongs to another; account: that
the event, which names none, belongs to the account in which only a browser placed its user.
"""


class Source(NamedTuple):
    """Who told an event: the name of its key, and its kind."""

    name: str
    kind: SourceKind


class Times(NamedTuple):
    """How far from its receipt the time of a source's event is believed. None: as the settings say; of imports: since 1970."""

    days_back: int | None = None
    minutes_ahead: int | None = None
    import_days_back: int | None = None


OF_SETTINGS = Times()
"""A source without bounds of its own."""


HISTORY_ENDED = "$waymark.history_ended"
"""Event name of the marker an import posts for each account when its file ends.

Its `at` is the end of the file: timers due until then fire. Properties: `{"live": bool}`; true hands the
account to the wall clock, false leaves its clock where the file ended.
"""


class UsageEvent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One thing that happened in the product, validated, deduplicated, with its account resolved.

    `name` is the event's name for track, the page's or screen's name for those, else empty. `properties`
    are raw JSON bytes of an object: properties, or for identify and group the traits. `history` is the id of
    the import it came with: such an event advances its account's clock by its own time, never by the wall's.
    `trust` is the kind of source that told it: what a browser says moves no fact. An event that names no account, of a
    user whom only a browser placed, is no more trusted than that. `claimed_at` is the time as it was sent, where that was
    not believed and `at` is `received_at` instead; `claims` is what else was not believed. `stamped_at` is what the clock of the
    server that received it said, where that could not be and `received_at` is when ingest read it. `no_to_mail`: what came along
    with it, its context, says that its user wants no mail; `address` is the user's there, where either says something of mail.
    """

    id: str
    account: str
    type: EventType
    name: str
    at: datetime
    received_at: datetime
    source: str
    user: str | None = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    history: str | None = None
    trust: SourceKind = "server"
    claimed_at: str | None = None
    claims: tuple[BrowserClaim, ...] = ()
    stamped_at: datetime | None = None
    no_to_mail: bool = False
    address: str | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether the company itself told it."""
        return self.trust != "browser"
