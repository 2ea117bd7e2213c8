"""Channels as the core knows them: their traits, and the circuit that opens when one is down. Sender and settings are in `channels/`.

The traits are the pure half of a channel's descriptor. The core is given them with the playbook and names no channel.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from services.notify.core.state import Contact

AttemptStage = Literal["claimed", "data_sent"]
"""How far an attempt to send has come: `claimed` by a sender, or past its point of no return."""

AttemptOutcome = Literal["accepted", "opened", "refused", "bounced", "retry", "retry_idempotent", "uncertain"]
"""accepted: the other side has it; opened: it is an open task of ours; refused: never try this again; bounced: nobody
will ever read mail at that address; retry: nothing was
accepted; retry_idempotent: it may have arrived, and the receiver knows a repeat by its id; uncertain: it may have
arrived, and outreach is not sent twice."""

AddressRule = Callable[[Contact], bool]
"""Whether the contact can be reached on the channel."""

_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
OPENS_AFTER = 3
"""Attempts in a row that reached nobody."""
WAITS = tuple(timedelta(minutes=m) for m in (1, 2, 5, 10))
"""How long nothing is tried: the longer, the more often it was in vain. The last goes on."""


class CrashOutcomes(NamedTuple):
    """How an attempt ends whose sender did not come back, for each stage it may have reached (`AttemptStage`)."""

    claimed: AttemptOutcome
    data_sent: AttemptOutcome

    def after(self, stage: AttemptStage) -> AttemptOutcome:
        """The outcome of an attempt that was lost at this stage."""
        match stage:
            case "claimed":
                return self.claimed
            case "data_sent":
                return self.data_sent


class ChannelTraits(NamedTuple):
    """What a channel means for a person.

    `reaches_customer`: consent and the contact budget apply; otherwise it is for our own people. `opens_task`: nothing
    leaves, the record in the outbox is an open task, also in preview; the tasks of one run of a play follow each other,
    another run waits until they are closed. `spends_budget`: what reaches a customer counts as a contact; what is only shown
    in the product, where people are anyway, does not.
    `quiet_hours`: messages wait for the person's morning. `unsubscribe_footer`: the footer template is added, and its
    unsubscribe link is required, except in transactional messages.
    """

    name: str
    reaches_customer: bool
    opens_task: bool
    quiet_hours: bool
    unsubscribe_footer: bool
    address_rule: AddressRule
    crash_outcomes: CrashOutcomes
    spends_budget: bool = True

    @property
    def is_contact(self) -> bool:
        """Whether a message on it is a contact with a customer, which the budget counts."""
        return self.reaches_customer and self.spends_budget

    @property
    def needs_address(self) -> bool:
        """Whether messages go to an address of the person: then somebody we trust must have told it."""
        return self.reaches_customer and not self.address_rule(Contact())

    def needs_footer(self, transactional: bool) -> bool:
        """Whether a message must offer to unsubscribe."""
        return self.unsubscribe_footer and not transactional


Channels = Mapping[str, ChannelTraits]
"""Channel traits by the name that plays give it."""

CAUTIOUS = CrashOutcomes(claimed="retry", data_sent="uncertain")
"""Crash outcomes that never send twice: also those of a stored delivery whose channel does not exist any more."""


def anybody(_contact: Contact) -> bool:
    """Address rule of a channel that needs no address."""
    return True


def has_mail_address(contact: Contact) -> bool:
    """Address rule of a channel that needs a mail address."""
    return deliverable(contact.email)


def deliverable(address: str | None) -> bool:
    """Whether it may be in an envelope: plain ASCII, no control characters, nothing a mail server could take for a
    command. Whether somebody reads it, only sending shows.
    """
    return bool(address) and len(address or "") <= 254 and _ADDRESS.fullmatch(address or "") is not None


NOBODYS_ENDINGS = (
    *(".test", ".example", ".invalid", ".localhost"),
    *(f"{before}example.{top}" for before in "@." for top in ("com", "net", "org")),
)
"""How addresses end that belong to nobody and never will (RFC 2606, RFC 6761)."""


def is_nobodys(address: str | None) -> bool:
    """Whether it is one of a trial: no customer is written to there."""
    return address is not None and address.lower().endswith(NOBODYS_ENDINGS)


class Circuit:
    """How one channel does: closed while it answers, open while nothing is to be tried, between the two one attempt.

    After some attempts in a row that found nobody, nothing is tried for a while, then one at a time: an outage is the
    channel's, not the deliveries', which keep their turn and are not used up in trying.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._until: datetime | None = None
        self.since: datetime | None = None
        """When it was first found silent; None while it answers."""

    def may_try(self, now: datetime, most: int) -> int:
        """How many deliveries may be tried now, of at most so many."""
        if self._failures < OPENS_AFTER:
            return most
        is_open = (
            self._until is not None and now < self._until <= now + WAITS[-1]
        )  # a clock set back opens none for long
        return 0 if is_open else 1

    def found_nobody(self, now: datetime) -> None:
        """An attempt reached nobody."""
        self._failures += 1
        self.since = self.since or now
        if self._failures >= OPENS_AFTER:
            self._until = now + WAITS[min(self._failures - OPENS_AFTER, len(WAITS) - 1)]

    def answered(self) -> bool:
        """The channel answered, whatever it said: True where it had been given up on."""
        was_open = self._failures >= OPENS_AFTER
        self._failures, self._until, self.since = 0, None, None
        return was_open

    def words(self, detail: str) -> str:
        """What is wrong; empty while it answers."""
        if self.since is None:
            return ""
        again = f"; tried again at {self._until:%H:%M} UTC" if self._until else ""
        return (
            f"does not answer since {self.since:%Y-%m-%d %H:%M} UTC ({detail}){again}. What is due waits, and leaves then "
            "unless it is no longer true"
        )
