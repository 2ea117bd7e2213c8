"""Who is adopting the product or getting its value? Three kinds: still growing, stuck, and just arrived."""

from waymark.demo.draws import between
from waymark.demo.habits import BILLING, CONNECT, KICKOFF, LOOKED_AFTER, SUPPORT, aims, attains, surveys
from waymark.demo.persona import Beat, Persona

RAMPING = Persona(
    name="ramping",
    tells="onboarded; seats and features come into use week by week",
    accounts=20,
    age=(45, 95),
    reach=((0, 0.2), (20, 0.45), (50, 0.7), (90, 0.9)),
    features=5,
    beats=LOOKED_AFTER + surveys(7, 9),
)

PLATEAU = Persona(
    name="plateau",
    tells="onboarded long ago, but half the seats and two features are all that is used, and nothing comes of it",
    accounts=18,
    age=(110, 300),
    reach=((0, 0.2), (25, 0.42), (60, 0.46)),
    features=2,
    value=0.0,
    makes=0.08,
    sizes=(0, 4, 1),
    beats=(
        *CONNECT,
        *KICKOFF,
        *aims(60),
        *BILLING,
        *SUPPORT,
        *surveys(6, 8),
        Beat(55, "CSM Meeting Held", every=75, jitter=9),
    ),
)

REALISING = Persona(
    name="realising",
    tells="widely used; the objective set while onboarding was reached in the last weeks",
    accounts=18,
    age=(100, 190),
    reach=((0, 0.2), (20, 0.5), (60, 0.82), (90, 0.86)),
    value=0.05,
    beats=(
        *LOOKED_AFTER,
        *attains(92, 46),
        *surveys(7, 9),
        Beat(-25, "Objective Set", {"objective": "monthly close a day earlier", "target": between(4, 9)}, jitter=8),
    ),
)
