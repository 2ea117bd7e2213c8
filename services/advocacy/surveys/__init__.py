"""Which kinds of survey are there? A new one is a file here and its line in this table."""

from collections.abc import Mapping
from types import MappingProxyType

from services.advocacy.core.kinds import Kind
from services.advocacy.surveys.csat import CSAT
from services.advocacy.surveys.nps import NPS

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "nps": NPS,
        "csat": CSAT,
    }
)
