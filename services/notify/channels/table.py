"""Channel table: a line a channel. Plays, settings, sender and API take the channels from here.

A file of this package that is not in the table is refused at import: a channel cannot be forgotten.
"""

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

_files = {module.name for module in iter_modules(channels.__path__)} - {"channel", "table"}
if unlisted := _files ^ {*CHANNELS}:
    raise ImportError(
        f"channel table and files differ in {', '.join(sorted(unlisted))}: a channel needs its line, and a file of its name"
    )
