"""Personas: the kinds of customers the demo company has, as one table; their account numbers add up to the company."""

from waymark.demo.events import (
    BILLING,
    CARE,
    CONNECT,
    KICKOFF,
    LOOKED_AFTER,
    SUPPORT,
    WELL_STARTED,
    between,
    choice_of,
    code_it_came_with,
    comment,
    growing,
    more_seats,
    objective_attained,
    objective_set,
    own_code,
    surveys,
    tickets,
    user_id_of,
)
from waymark.demo.model import Persona, ScheduledEvent

# How a happy customer was lost in nine weeks: Ines Calloway brought Quayside into her company. She leaves; nobody takes
# over; two urgent tickets fall on people who never chose the product. Each sign was visible before the end.
CHAMPION_COMPANY = "Halden & Reyes Freight"
CHAMPION = ("Ines", "Calloway")

CHAMPION_LEAVES = Persona(
    name="champion_leaves",
    summary="its champion left, use fell, urgent tickets, NPS 3, silence, cancelled two weeks before the renewal",
    accounts=1,
    age_days=(381, 381),
    seat_use=((0, 0.25), (20, 0.6), (60, 0.88), (250, 0.9)),
    decline=((-60, 1.0), (-52, 0.62), (-40, 0.38), (-30, 0.15), (-26, 0.0)),
    segment_weights=(0, 1, 0),
    cancelled_days_ago=(30, 30),
    reason="champion left, product no longer used",
    time_scale=(1.0, 1.0),
    schedule=(
        *WELL_STARTED,
        *BILLING,
        CARE[0]._replace(times=7),
        *objective_attained(85, 52),
        ScheduledEvent(60, "NPS Answered", {"score": 9, "comment": "Finally one version of the numbers. Thank you!"}),
        ScheduledEvent(150, "NPS Answered", {"score": 9, "comment": "We built our morning stand-up around it."}),
        ScheduledEvent(240, "NPS Answered", {"score": 10, "comment": "Would not go back to the spreadsheets."}),
        ScheduledEvent(-62, "User Removed", {"user_id": user_id_of(0)}, actor="admin", jitter=0),
        ScheduledEvent(-62, "Champion Left", {"user_id": user_id_of(0)}, actor="admin", jitter=0),
        ScheduledEvent(-57, "Billing Page Viewed", actor="admin", jitter=0),
        *tickets(-45, "urgent", 6, jitter=0),
        *tickets(-38, "urgent", 5, jitter=0),
        ScheduledEvent(
            -31,
            "NPS Answered",
            {"score": 3, "comment": "Nobody here knows why we bought it, and support took a week."},
            actor="admin",
            jitter=0,
        ),
        ScheduledEvent(-14, "Billing Page Viewed", actor="admin", jitter=0),
    ),
)


FRESH = Persona(
    name="fresh",
    summary="signed up lately; connected, invited and set an objective on time",
    accounts=6,
    age_days=(4, 34),
    seat_use=((0, 0.2), (10, 0.5), (30, 0.8)),
    features=5,
    schedule=WELL_STARTED + tickets(5, "normal", 1, chance=0.6),
)

REFERRED_LATELY = Persona(
    name="referred_lately",
    summary="signed up with an advocate's code; its first invoice is paid today",
    accounts=1,
    age_days=(9, 11),
    seat_use=((0, 0.3), (10, 0.6)),
    features=5,
    segment_weights=(1, 0, 0),
    schedule=(ScheduledEvent(1, "Referred Signup", {"referral_code": code_it_came_with}, jitter=0), *WELL_STARTED),
)

STALLED = Persona(
    name="stalled",
    summary="bought weeks ago, one or two people look in, nothing is connected, no objective",
    accounts=6,
    age_days=(38, 100),
    seat_use=((0, 0.15), (12, 0.25)),
    decline=((-30, 1.0), (-12, 0.35), (0, 0.25)),
    days_a_week=0.7,
    features=2,
    value_share=0.0,
    creation_share=0.0,
    schedule=(
        ScheduledEvent(12, "CSM Meeting Held", chance=0.5),
        *tickets(8, "normal", 9, chance=0.8),
        ScheduledEvent(
            30, "NPS Answered", {"score": 6, "comment": "Still waiting for somebody to connect our data."}, chance=0.3
        ),
        *BILLING,
    ),
)


RAMPING = Persona(
    name="ramping",
    summary="onboarded; seats and features come into use week by week",
    accounts=7,
    age_days=(45, 95),
    seat_use=((0, 0.2), (20, 0.45), (50, 0.7), (90, 0.9)),
    features=5,
    schedule=LOOKED_AFTER + surveys(7, 9),
)

PLATEAU = Persona(
    name="plateau",
    summary="onboarded long ago, but half the seats and two features are all that is used, and nothing comes of it",
    accounts=5,
    age_days=(110, 240),
    seat_use=((0, 0.2), (25, 0.42), (60, 0.46)),
    features=2,
    value_share=0.0,
    creation_share=0.08,
    segment_weights=(0, 4, 1),
    schedule=(
        *CONNECT,
        *KICKOFF,
        *objective_set(60),
        *BILLING,
        *SUPPORT,
        *surveys(6, 8),
        ScheduledEvent(55, "CSM Meeting Held", every=75, jitter=9),
    ),
)

REALISING = Persona(
    name="realising",
    summary="widely used; the objective set while onboarding was reached in the last weeks",
    accounts=6,
    age_days=(100, 190),
    seat_use=((0, 0.2), (20, 0.5), (60, 0.82), (90, 0.86)),
    value_share=0.05,
    schedule=(
        *LOOKED_AFTER,
        *objective_attained(92, 46),
        *surveys(7, 9),
        ScheduledEvent(
            -25, "Objective Set", {"objective": "monthly close a day earlier", "target": between(4, 9)}, jitter=8
        ),
    ),
)


_WELL_USED = ((0, 0.25), (25, 0.6), (70, 0.85), (110, 0.96), (140, 1.0))

OUT_OF_SEATS = Persona(
    name="out_of_seats",
    summary="every bought seat is in use and has been for weeks",
    accounts=4,
    age_days=(160, 220),
    seat_use=_WELL_USED,
    features=7,
    value_share=0.04,
    schedule=(
        *LOOKED_AFTER,
        *objective_attained(100),
        *surveys(8, 10),
        ScheduledEvent(-9, "Billing Page Viewed", actor="admin", every=4, times=2),
    ),
)

MORE_SEATS = Persona(
    name="more_seats",
    summary="ran out of seats and bought half as many again",
    accounts=4,
    age_days=(170, 240),
    seat_use=_WELL_USED,
    features=7,
    value_share=0.04,
    schedule=(
        *LOOKED_AFTER,
        *objective_attained(95),
        *surveys(8, 10),
        ScheduledEvent(-30, "Billing Page Viewed", actor="admin"),
        ScheduledEvent(-26, "Seats Changed", {"seats": more_seats(1.5)}, actor="admin", jitter=1),
    ),
)

AT_THE_LIMIT = Persona(
    name="at_the_limit",
    summary="its data rows approach what the plan allows, month after month",
    accounts=4,
    age_days=(150, 220),
    seat_use=((0, 0.2), (30, 0.6), (80, 0.86)),
    features=7,
    value_share=0.04,
    schedule=(
        *LOOKED_AFTER,
        *objective_attained(105),
        *surveys(7, 9),
        ScheduledEvent(
            -44,
            "Limit Reached",
            {"limit": "data_rows", "share": growing(0.78, 0.04)},
            actor="admin",
            every=8,
            jitter=1,
        ),
    ),
)

WANTING_MORE = Persona(
    name="wanting_more",
    summary="several people try features that their plan does not include",
    accounts=4,
    age_days=(120, 200),
    seat_use=((0, 0.2), (30, 0.6), (80, 0.84)),
    features=7,
    value_share=0.04,
    schedule=(
        *LOOKED_AFTER,
        *objective_attained(98),
        *surveys(7, 9),
        ScheduledEvent(
            -40,
            "Gated Feature Attempted",
            {"feature": choice_of("forecasts", "audit_log")},
            actor="anyone",
            every=3,
            jitter=1,
        ),
    ),
)


_STEADY = ((0, 0.2), (25, 0.55), (70, 0.8), (120, 0.84))

STEADY = Persona(
    name="steady",
    summary="uses what it bought, reached its objective, renewed when it was time",
    accounts=7,
    age_days=(190, 300),
    seat_use=_STEADY,
    schedule=LOOKED_AFTER + objective_attained(110) + surveys(7, 8),
)

RENEWING_SOON = Persona(
    name="renewing_soon",
    summary="steady use, and the renewal is a few weeks away",
    accounts=4,
    age_days=(285, 355),
    seat_use=_STEADY,
    segment_weights=(0, 3, 1),
    schedule=LOOKED_AFTER
    + objective_attained(120)
    + surveys(7, 8)
    + (ScheduledEvent(-15, "Billing Page Viewed", actor="admin"),),
)

UNPAID = Persona(
    name="unpaid",
    summary="the last invoice could not be collected",
    accounts=3,
    age_days=(150, 240),
    seat_use=_STEADY,
    unpaid=(-1,),
    recovers=False,
    schedule=LOOKED_AFTER + objective_attained(115) + surveys(6, 8),
)

RECOVERING = Persona(
    name="recovering",
    summary="fell to a third of its use, a payment failed, an urgent ticket was open; then care brought it back",
    accounts=4,
    age_days=(200, 260),
    seat_use=_STEADY,
    decline=((-95, 1.0), (-82, 0.35), (-62, 0.35), (-42, 1.0)),
    unpaid=(-3,),
    schedule=(
        *LOOKED_AFTER,
        *objective_attained(100),
        *surveys(6, 8),
        *tickets(-84, "urgent", 5),
        ScheduledEvent(-72, "CSM Meeting Held", every=9, times=3),
    ),
)


ADVOCATE = Persona(
    name="advocate",
    summary="in daily use for long, objective reached, promoters in every survey",
    accounts=5,
    age_days=(240, 330),
    seat_use=((0, 0.3), (20, 0.65), (60, 0.9), (100, 0.93)),
    days_a_week=1.7,
    features=8,
    value_share=0.06,
    schedule=(
        *LOOKED_AFTER,
        *objective_attained(80, 58),
        *surveys(9, 10),
        ScheduledEvent(
            -20, "NPS Answered", {"score": 10, "comment": "I recommend it to everybody in our trade."}, jitter=8
        ),
        ScheduledEvent(-120, "Referral Code Issued", {"referral_code": own_code}, jitter=0),
        ScheduledEvent(-8, "CSM Meeting Held"),
    ),
)

REFERRED = Persona(
    name="referred",
    summary="signed up with an advocate's code and paid its first invoices",
    accounts=3,
    age_days=(36, 80),
    seat_use=((0, 0.3), (15, 0.6), (45, 0.85)),
    segment_weights=(3, 1, 0),
    schedule=(ScheduledEvent(1, "Referred Signup", {"referral_code": code_it_came_with}, jitter=0), *WELL_STARTED),
)


FADED = Persona(
    name="faded",
    summary="use fell month by month, surveys turned sour, then it cancelled",
    accounts=4,
    age_days=(170, 240),
    seat_use=((0, 0.2), (30, 0.55), (70, 0.7)),
    decline=((-80, 1.0), (-45, 0.5), (-20, 0.2), (-6, 0.0)),
    features=4,
    cancelled_days_ago=(6, 70),
    reason="not used enough",
    schedule=(
        *CONNECT,
        *KICKOFF,
        *objective_set(),
        *SUPPORT,
        *tickets(-44, "urgent", 7, chance=0.7),
        ScheduledEvent(-35, "NPS Answered", {"score": between(1, 5), "comment": comment}, jitter=6),
        ScheduledEvent(-18, "Billing Page Viewed", actor="admin", every=6, times=2),
    ),
)

PRICED_OUT = Persona(
    name="priced_out",
    summary="healthy use to the end; two invoices failed and it left over the price",
    accounts=2,
    age_days=(190, 240),
    seat_use=((0, 0.2), (30, 0.55), (80, 0.8)),
    cancelled_days_ago=(8, 60),
    reason="too expensive",
    unpaid=(-2, -1),
    recovers=False,
    segment_weights=(1, 0, 0),
    schedule=LOOKED_AFTER
    + objective_attained(120)
    + surveys(6, 8)
    + (ScheduledEvent(-30, "Billing Page Viewed", actor="admin", every=5, times=5),),
)

SILENT = Persona(
    name="silent",
    summary="still pays, but nobody has worked with it for weeks",
    accounts=5,
    age_days=(130, 220),
    seat_use=((0, 0.2), (30, 0.5), (60, 0.6)),
    decline=((-75, 1.0), (-45, 0.4), (-32, 0.0)),
    features=3,
    value_share=0.01,
    schedule=(
        *CONNECT,
        *KICKOFF,
        *objective_set(),
        *BILLING,
        ScheduledEvent(50, "NPS Answered", {"score": choice_of(5, 6, 7, 8), "comment": comment}),
        ScheduledEvent(50, "CSM Meeting Held", every=60, times=2),
    ),
)


PERSONAS = (
    CHAMPION_LEAVES,
    FRESH,
    REFERRED_LATELY,
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
