"""Which channels are there? One line each; what a channel means for a person stands in `core/reach.py`."""

from collections.abc import Mapping

from services.notify.channels.channel import Channel
from services.notify.channels.email import Email
from services.notify.channels.task import Task
from services.notify.channels.webhook import Webhook
from services.notify.core.words import Channel as Name

KINDS: Mapping[Name, type[Channel]] = {
    "email": Email,
    "webhook": Webhook,
    "task": Task,
}
"""The shell makes one of each that is configured; a step on a channel that is not is told as refused."""
