"""Channel traits: what decisions need to know of a channel. Its sender and settings are in `channels/`.

The traits are the pure half of a channel's descriptor. The core is given them with the playbook and names no channel.
"""

import re
from collections.abc import Callable, Mapping
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
