"""Who is still being onboarded? Those for whom it goes well, and those who got stuck."""

from waymark.demo.habits import BILLING, WELL_STARTED, tickets
from waymark.demo.persona import Beat, Persona

FRESH = Persona(
    name="fresh",
    tells="signed up lately; connected, invited and set an objective on time",
    accounts=14,
    age=(4, 34),
    reach=((0, 0.2), (10, 0.5), (30, 0.8)),
    features=5,
    beats=WELL_STARTED + tickets(5, "normal", 1, chance=0.6),
)

STALLED = Persona(
    name="stalled",
    tells="bought weeks ago, one or two people look in, nothing is connected, no objective",
    accounts=14,
    age=(38, 100),
    reach=((0, 0.15), (12, 0.25)),
    fade=((-30, 1.0), (-12, 0.35), (0, 0.25)),
    pace=0.7,
    features=2,
    value=0.0,
    makes=0.0,
    beats=(
        Beat(12, "CSM Meeting Held", chance=0.5),
        *tickets(8, "normal", 9, chance=0.8),
        Beat(
            30, "NPS Answered", {"score": 6, "comment": "Still waiting for somebody to connect our data."}, chance=0.3
        ),
        *BILLING,
    ),
)
