"""How does a company's past get in? From a history file to the server, event by event, the same for every repeat."""

from waymark.importing.failures import GaveUp, ImportStopped, Refused, Unreadable
from waymark.importing.history import BadLine, History, Late, Record
from waymark.importing.posting import Posted, Progress, Target, post
from waymark.importing.run import Imported, import_file
from waymark.importing.source import Line, Source, opened

__all__ = [
    "BadLine",
    "GaveUp",
    "History",
    "ImportStopped",
    "Imported",
    "Late",
    "Line",
    "Posted",
    "Progress",
    "Record",
    "Refused",
    "Source",
    "Target",
    "Unreadable",
    "import_file",
    "opened",
    "post",
]
