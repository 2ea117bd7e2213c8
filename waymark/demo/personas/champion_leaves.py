"""How was a happy customer lost in nine weeks? The one story told day by day.

Ines Calloway brought Quayside into her company and was its voice there. She leaves; nobody takes over; two
urgent tickets fall on people who never chose the product. Each sign was there to be seen before the end.
"""

from waymark.demo.draws import person
from waymark.demo.habits import BILLING, CARE, WELL_STARTED, attains, tickets
from waymark.demo.persona import Beat, Persona

NAME = "Halden & Reyes Freight"
CHAMPION = ("Ines", "Calloway")

CHAMPION_LEAVES = Persona(
    name="champion_leaves",
    tells="its champion left, use fell, urgent tickets, NPS 3, silence, cancelled two weeks before the renewal",
    accounts=1,
    age=(381, 381),
    reach=((0, 0.25), (20, 0.6), (60, 0.88), (250, 0.9)),
    fade=((-60, 1.0), (-52, 0.62), (-40, 0.38), (-30, 0.15), (-26, 0.0)),
    sizes=(0, 1, 0),
    left=(30, 30),
    reason="champion left, product no longer used",
    tempo=(1.0, 1.0),
    beats=(
        *WELL_STARTED,
        *BILLING,
        CARE[0]._replace(times=7),
        *attains(85, 52),
        Beat(60, "NPS Answered", {"score": 9, "comment": "Finally one version of the numbers. Thank you!"}),
        Beat(150, "NPS Answered", {"score": 9, "comment": "We built our morning stand-up around it."}),
        Beat(240, "NPS Answered", {"score": 10, "comment": "Would not go back to the spreadsheets."}),
        Beat(-62, "User Removed", {"user_id": person(0)}, by="admin", jitter=0),
        Beat(-62, "Champion Left", {"user_id": person(0)}, by="admin", jitter=0),
        Beat(-57, "Billing Page Viewed", by="admin", jitter=0),
        *tickets(-45, "urgent", 6, jitter=0),
        *tickets(-38, "urgent", 5, jitter=0),
        Beat(
            -31,
            "NPS Answered",
            {"score": 3, "comment": "Nobody here knows why we bought it, and support took a week."},
            by="admin",
            jitter=0,
        ),
        Beat(-14, "Billing Page Viewed", by="admin", jitter=0),
    ),
)
