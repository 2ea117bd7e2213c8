"""Channel table: a line a channel. Plays, settings, sender and API take the channels from here.

A file of this package that is not in the table is refused at import: a channel cannot be forgotten.
"""

from collections.abc import Collection
from pkgutil import iter_modules

from services.notify import channels
from services.notify.channels.channel import ChannelTable
from services.notify.channels.email import EMAIL
from services.notify.channels.task import TASK
from services.notify.channels.webhook import WEBHOOK

CHANNELS = ChannelTable(
    EMAIL,
    WEBHOOK,
    TASK,
)


def check_complete(files: Collection[str], table: ChannelTable) -> None:
    """Raises ImportError where a file of this package has no line in the table, or a channel no file of its name."""
    if different := {*files} ^ {*table}:
        names = ", ".join(sorted(different))
        raise ImportError(
            f"channel files and channel table differ in {names}: a channel is a file and a line, of one name"
        )


check_complete({module.name for module in iter_modules(channels.__path__)} - {"channel", "table"}, CHANNELS)
