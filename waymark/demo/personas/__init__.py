"""Which kinds of customer are there? One table; the numbers of accounts add up to the company."""

from waymark.demo.personas.advocating import ADVOCATE, REFERRED
from waymark.demo.personas.champion_leaves import CHAMPION_LEAVES
from waymark.demo.personas.expanding import AT_THE_LIMIT, MORE_SEATS, OUT_OF_SEATS, WANTING_MORE
from waymark.demo.personas.growing import PLATEAU, RAMPING, REALISING
from waymark.demo.personas.keeping import RECOVERING, RENEWING_SOON, STEADY, UNPAID
from waymark.demo.personas.leaving import FADED, PRICED_OUT, SILENT
from waymark.demo.personas.starting import FRESH, STALLED

PERSONAS = (
    CHAMPION_LEAVES,
    FRESH,
    STALLED,
    RAMPING,
    PLATEAU,
    REALISING,
    OUT_OF_SEATS,
    MORE_SEATS,
    AT_THE_LIMIT,
    WANTING_MORE,
    STEADY,
    RENEWING_SOON,
    UNPAID,
    RECOVERING,
    ADVOCATE,
    REFERRED,
    FADED,
    PRICED_OUT,
    SILENT,
)
