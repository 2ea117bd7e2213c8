"""Channel descriptor: everything that can be said of a channel in one value, and the protocol of its sender."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from services.notify.core.channels import AttemptOutcome, Channels, ChannelTraits
from shared.contracts.outreach import OutreachClass
from shared.settings import Settings


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one person, rendered. `unsubscribe` is the one-click address, None for transactional.

    `reply_to` is where answers go, None for the sender.
    """

    id: str
    account: str
    play: str
    step: str
    outreach_class: OutreachClass
    subject: str
    text: str
    html: str
    user: str | None = None
    email: str | None = None
    name: str = ""
    unsubscribe: str | None = None
    reply_to: str | None = None


class Receipt(NamedTuple):
    """How an attempt ended. `detail` is for the operator, short; `reference` is the other side's id of it.

    `nobody`: the channel itself does not answer or lets us not in, which says nothing of this delivery.
    """

    outcome: AttemptOutcome
    detail: str = ""
    reference: str = ""
    nobody: bool = False


ConfirmSend = Callable[[], Awaitable[None]]
"""Called just before the delivery might be accepted: it commits that the delivery may have been sent."""

Now = Callable[[], datetime]


class Sender(Protocol):
    """Sends. Every way it can go is a receipt; it raises only for a bug, or what `confirm` raised: then nothing was sent."""

    async def send(self, delivery: Delivery, confirm: ConfirmSend) -> Receipt: ...


class Channel(NamedTuple):
    """A channel: what it means for a person, the settings it needs, and how its sender is built.

    `settings` are fields of `shared.settings.Settings`: while one of them is None, deliveries wait and say so. `build` is
    called once all are set; it raises Refused where one cannot be used.
    """

    traits: ChannelTraits
    settings: tuple[str, ...]
    build: Callable[[Settings, Now], Sender]


class Built(NamedTuple):
    """The senders of the channels that are set up; for the others what to set."""

    senders: Mapping[str, Sender]
    missing: Mapping[str, str]


class ChannelTable:
    """The channels there are, by name. Raises ValueError for two of one name, and for a setting that does not exist."""

    def __init__(self, *channels: Channel) -> None:
        self._channels = {channel.traits.name: channel for channel in channels}
        if len(self._channels) < len(channels):
            raise ValueError("two channels have one name")
        for name, channel in self._channels.items():
            if unknown := {*channel.settings} - Settings.model_fields.keys():
                raise ValueError(f"channel '{name}' needs settings that do not exist: {', '.join(sorted(unknown))}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    @property
    def traits(self) -> Channels:
        """What decisions need to know of each."""
        return {name: channel.traits for name, channel in self._channels.items()}

    def missing(self, settings: Settings) -> dict[str, str]:
        """What to set, for each channel that is not set up."""
        unset = {name: _unset_fields(channel, settings) for name, channel in self._channels.items()}
        return {name: _unset(fields) for name, fields in unset.items() if fields}

    def build(self, settings: Settings, now: Now) -> Built:
        """A sender for each channel whose settings are there. Raises Refused for settings that cannot be used."""
        missing = self.missing(settings)
        there = {name: channel for name, channel in self._channels.items() if name not in missing}
        return Built({name: channel.build(settings, now) for name, channel in there.items()}, missing)


async def confirmed() -> None:
    """For senders outside the outbox, with nothing to commit."""


def _unset_fields(channel: Channel, settings: Settings) -> list[str]:
    return [field for field in channel.settings if getattr(settings, field) is None]


def _unset(fields: Sequence[str]) -> str:
    names = [f"WAYMARK_{field.upper()}" for field in fields]
    *others, last = names
    return f"{', '.join(others)} and {last} are not set" if others else f"{last} is not set"
