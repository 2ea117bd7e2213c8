"""Who stays? Steady use and renewals, a renewal ahead, an unpaid invoice, a dip that was healed."""

from waymark.demo.habits import LOOKED_AFTER, attains, surveys, tickets
from waymark.demo.persona import Beat, Persona

_STEADY = ((0, 0.2), (25, 0.55), (70, 0.8), (120, 0.84))

STEADY = Persona(
    name="steady",
    tells="uses what it bought, reached its objective, renewed when it was time",
    accounts=21,
    age=(190, 415),
    reach=_STEADY,
    beats=LOOKED_AFTER + attains(110) + surveys(7, 8),
)

RENEWING_SOON = Persona(
    name="renewing_soon",
    tells="steady use, and the renewal is a few weeks away",
    accounts=9,
    age=(285, 355),
    reach=_STEADY,
    sizes=(0, 3, 1),
    beats=LOOKED_AFTER + attains(120) + surveys(7, 8) + (Beat(-15, "Billing Page Viewed", by="admin"),),
)

UNPAID = Persona(
    name="unpaid",
    tells="the last invoice could not be collected",
    accounts=4,
    age=(150, 330),
    reach=_STEADY,
    unpaid=(-1,),
    recovers=False,
    beats=LOOKED_AFTER + attains(115) + surveys(6, 8),
)

RECOVERING = Persona(
    name="recovering",
    tells="fell to a third of its use, a payment failed, an urgent ticket was open; then care brought it back",
    accounts=8,
    age=(200, 340),
    reach=_STEADY,
    fade=((-95, 1.0), (-82, 0.35), (-62, 0.35), (-42, 1.0)),
    unpaid=(-3,),
    beats=(
        *LOOKED_AFTER,
        *attains(100),
        *surveys(6, 8),
        *tickets(-84, "urgent", 5),
        Beat(-72, "CSM Meeting Held", every=9, times=3),
    ),
)
