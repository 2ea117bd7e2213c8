"""What does a channel mean for a person? One line a channel; who sends on it stands in `channels/`."""

from typing import NamedTuple

from services.notify.core.words import Channel


class Reach(NamedTuple):
    """`customer`: it reaches a customer, so consent and budget apply. `address`: it needs a mail address."""

    customer: bool
    address: bool
    quiet_hours: bool


REACH: dict[Channel, Reach] = {
    "email": Reach(customer=True, address=True, quiet_hours=True),
    "webhook": Reach(customer=True, address=False, quiet_hours=False),
    "task": Reach(customer=False, address=False, quiet_hours=False),
}
