"""Who has outgrown what they bought? Seats nearly full, more bought already, a limit near, features out of the plan."""

from waymark.demo.draws import growing, more_seats, one_of
from waymark.demo.habits import LOOKED_AFTER, attains, surveys
from waymark.demo.persona import Beat, Persona

_WELL_USED = ((0, 0.25), (25, 0.6), (70, 0.85), (110, 0.96), (140, 1.0))

OUT_OF_SEATS = Persona(
    name="out_of_seats",
    tells="every bought seat is in use and has been for weeks",
    accounts=10,
    age=(160, 260),
    reach=_WELL_USED,
    features=7,
    value=0.04,
    beats=(
        *LOOKED_AFTER,
        *attains(100),
        *surveys(8, 10),
        Beat(-9, "Billing Page Viewed", by="admin", every=4, times=2),
    ),
)

MORE_SEATS = Persona(
    name="more_seats",
    tells="ran out of seats and bought half as many again",
    accounts=9,
    age=(170, 300),
    reach=_WELL_USED,
    features=7,
    value=0.04,
    beats=(
        *LOOKED_AFTER,
        *attains(95),
        *surveys(8, 10),
        Beat(-30, "Billing Page Viewed", by="admin"),
        Beat(-26, "Seats Changed", {"seats": more_seats(1.5)}, by="admin", jitter=1),
    ),
)

AT_THE_LIMIT = Persona(
    name="at_the_limit",
    tells="its data rows approach what the plan allows, month after month",
    accounts=8,
    age=(150, 280),
    reach=((0, 0.2), (30, 0.6), (80, 0.86)),
    features=7,
    value=0.04,
    beats=(
        *LOOKED_AFTER,
        *attains(105),
        *surveys(7, 9),
        Beat(
            -44,
            "Limit Reached",
            {"limit": "data_rows", "share": growing(0.78, 0.04)},
            by="admin",
            every=8,
            jitter=1,
        ),
    ),
)

WANTING_MORE = Persona(
    name="wanting_more",
    tells="several people try features that their plan does not include",
    accounts=9,
    age=(120, 260),
    reach=((0, 0.2), (30, 0.6), (80, 0.84)),
    features=7,
    value=0.04,
    beats=(
        *LOOKED_AFTER,
        *attains(98),
        *surveys(7, 9),
        Beat(
            -40,
            "Gated Feature Attempted",
            {"feature": one_of("forecasts", "audit_log")},
            by="anyone",
            every=3,
            jitter=1,
        ),
    ),
)
