"""Who is lost or about to be? Slow fading, a price too high, and silence without a word."""

from waymark.demo.draws import between, comment, one_of
from waymark.demo.habits import BILLING, CONNECT, KICKOFF, LOOKED_AFTER, SUPPORT, aims, attains, surveys, tickets
from waymark.demo.persona import Beat, Persona

FADED = Persona(
    name="faded",
    tells="use fell month by month, surveys turned sour, then it cancelled",
    accounts=8,
    age=(170, 330),
    reach=((0, 0.2), (30, 0.55), (70, 0.7)),
    fade=((-80, 1.0), (-45, 0.5), (-20, 0.2), (-6, 0.0)),
    features=4,
    left=(6, 70),
    reason="not used enough",
    beats=(
        *CONNECT,
        *KICKOFF,
        *aims(),
        *SUPPORT,
        *tickets(-44, "urgent", 7, chance=0.7),
        Beat(-35, "NPS Answered", {"score": between(1, 5), "comment": comment}, jitter=6),
        Beat(-18, "Billing Page Viewed", by="admin", every=6, times=2),
    ),
)

PRICED_OUT = Persona(
    name="priced_out",
    tells="healthy use to the end; two invoices failed and it left over the price",
    accounts=3,
    age=(190, 330),
    reach=((0, 0.2), (30, 0.55), (80, 0.8)),
    left=(8, 60),
    reason="too expensive",
    unpaid=(-2, -1),
    recovers=False,
    sizes=(1, 0, 0),
    beats=LOOKED_AFTER
    + attains(120)
    + surveys(6, 8)
    + (Beat(-30, "Billing Page Viewed", by="admin", every=5, times=5),),
)

SILENT = Persona(
    name="silent",
    tells="still pays, but nobody has worked with it for weeks",
    accounts=10,
    age=(130, 320),
    reach=((0, 0.2), (30, 0.5), (60, 0.6)),
    fade=((-75, 1.0), (-45, 0.4), (-32, 0.0)),
    features=3,
    value=0.01,
    beats=(
        *CONNECT,
        *KICKOFF,
        *aims(),
        *BILLING,
        Beat(50, "NPS Answered", {"score": one_of(5, 6, 7, 8), "comment": comment}),
        Beat(50, "CSM Meeting Held", every=60, times=2),
    ),
)
