"""Who recommends the product, and who came because of it?"""

from waymark.demo.draws import own_code, referral_code
from waymark.demo.habits import LOOKED_AFTER, WELL_STARTED, attains, surveys
from waymark.demo.persona import Beat, Persona

ADVOCATE = Persona(
    name="advocate",
    tells="in daily use for long, objective reached, promoters in every survey",
    accounts=12,
    age=(240, 410),
    reach=((0, 0.3), (20, 0.65), (60, 0.9), (100, 0.93)),
    pace=1.7,
    features=8,
    value=0.06,
    beats=(
        *LOOKED_AFTER,
        *attains(80, 58),
        *surveys(9, 10),
        Beat(-20, "NPS Answered", {"score": 10, "comment": "I recommend it to everybody in our trade."}, jitter=8),
        Beat(-120, "Referral Code Issued", {"referral_code": own_code}, jitter=0),
        Beat(-8, "CSM Meeting Held"),
    ),
)

REFERRED = Persona(
    name="referred",
    tells="signed up with an advocate's code and paid its first invoices",
    accounts=4,
    age=(36, 80),
    reach=((0, 0.3), (15, 0.6), (45, 0.85)),
    sizes=(3, 1, 0),
    beats=(Beat(1, "Referred Signup", {"referral_code": referral_code}, jitter=0), *WELL_STARTED),
)
