"""What did the company define: which surveys, and how do referrals work? `config/surveys/*.yaml`, `config/referrals.yaml`."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec

from services.advocacy.core.kinds import Kind
from shared.contracts.lifecycle import Stage
from shared.durations import Duration

Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,39}$")]
Role = Annotated[str, msgspec.Meta(pattern="^[^A-Z]+$")]
Money = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A typo is a mistake, never a setting nobody reads."""


class Trigger(Strict, frozen=True, kw_only=True):
    """What starts a survey. Exactly one of stage (entered, `from` another one), flag (raised), signal, milestone, or
    tenure: how long the account has been with us, on its own clock.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"on": "a key of its own: stage, signal, tenure", "day": "tenure"}

    stage: Stage | None = None
    from_: Stage | None = msgspec.field(name="from", default=None)
    flag: str | None = None
    signal: str | None = None
    milestone: str | None = None
    tenure: Duration | None = None


class Audience(Strict, frozen=True, kw_only=True):
    """Who is asked: the first `max_recipients` in the order of `roles` (none named: anybody), then by user id."""

    roles: tuple[Role, ...] = ()
    max_recipients: Count = 1


class Cooldown(Strict, frozen=True, kw_only=True):
    """How long a person is not asked again: by this survey (an answer of its kind counts too), and by any."""

    RENAMED: ClassVar[Mapping[str, str]] = {"same_survey_days": "same_survey", "any_survey_days": "any_survey"}

    same_survey: Duration = Duration(days=90)
    any_survey: Duration = Duration(days=30)


class Survey(Strict, frozen=True, kw_only=True):
    """One survey. `never_in` are stages in which it is not sent; `open` is how long it takes answers."""

    RENAMED: ClassVar[Mapping[str, str]] = {"triggers": "on", "rest": "cooldown", "open_days": "open"}

    name: Name
    kind: str
    question: Annotated[str, msgspec.Meta(min_length=5, max_length=300)]
    play: Name
    on: Annotated[tuple[Trigger, ...], msgspec.Meta(min_length=1)]
    audience: Audience = Audience()
    cooldown: Cooldown = Cooldown()
    open: Duration = Duration(days=14)
    never_in: tuple[Stage, ...] = ()


class AskRules(Strict, frozen=True, kw_only=True):
    """Who may be asked to refer others, and how often."""

    RENAMED: ClassVar[Mapping[str, str]] = {
        "candidate_days": "candidate_for",
        "promoter_days": "promoter_within",
        "min_tenure_days": "min_tenure",
        "rest_days": "cooldown",
        "rest_after_decline_days": "cooldown_after_decline",
        "open_days": "open",
    }

    play: Name = "referral_invite"
    signal: str = "advocate_candidate"
    stage: Stage = "advocacy"
    candidate_for: Duration = Duration(days=90)
    promoter_score: Annotated[int, msgspec.Meta(ge=0, le=10)] = 9
    promoter_within: Duration = Duration(days=90)
    min_score: Annotated[float, msgspec.Meta(ge=0, le=100)] = 80
    exit_score: Annotated[float, msgspec.Meta(ge=0, le=100)] = 60
    min_tenure: Duration = Duration(days=180)
    urgent_metric: str = "open_urgent_tickets"
    cooldown: Duration = Duration(days=90)
    cooldown_after_decline: Duration = Duration(days=180)
    open: Duration = Duration(days=14)


class AttributionWindow(Duration):
    """From 30 to 90 days: the usual range of referral programmes."""

    shortest = timedelta(days=30)
    longest = timedelta(days=90)


class Attribution(Strict, frozen=True, kw_only=True):
    """When a sign-up belongs to a code: `within` this time of its issue or its last click, by a really new account."""

    RENAMED: ClassVar[Mapping[str, str]] = {"days": "within", "new_account_days": "new_account"}

    counts_from: Literal["issue", "last_click"] = "last_click"
    within: AttributionWindow = AttributionWindow(days=60)
    new_account: Duration = Duration(days=14)


class Facts(Strict, frozen=True, kw_only=True):
    """The usage events (forwarded by lifecycle) that tell of a referral's progress."""

    signup: str = "referred_signup"
    paid: str = "invoice_paid"
    refunded: str = "invoice_refunded"
    code_issued: str = "referral_code_issued"


class Hold(Duration):
    """At least two weeks, in which most refunds come; at most a year."""

    shortest = timedelta(days=14)
    longest = timedelta(days=365)


class Rewards(Strict, frozen=True, kw_only=True):
    """What both sides get, in minor units. With `review: manual` a person lets each reward out of `pending`."""

    RENAMED: ClassVar[Mapping[str, str]] = {"hold_days": "hold"}

    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    referrer: Money
    referred: Money
    hold: Hold = Hold(days=30)
    per_referrer_per_month: Count = 10
    review: Literal["automatic", "manual"] = "automatic"


class Referrals(Strict, frozen=True, kw_only=True):
    """How referrals work. `free_mail` are domains that name a provider, not a company; `signup_url` is where a code's link leads."""

    enabled: bool = True
    ask: AskRules = AskRules()
    attribution: Attribution = Attribution()
    facts: Facts = Facts()
    rewards: Rewards
    free_mail: tuple[str, ...] = ()
    signup_url: Annotated[str, msgspec.Meta(pattern="^(https?://[^\\s#]+)?$")] = ""


class Definitions(NamedTuple):
    """Everything the company defined, checked. `versions` are the files' hashes by survey name, and `referrals`."""

    surveys: tuple[Survey, ...]
    referrals: Referrals
    kinds: dict[str, Kind]
    versions: dict[str, str]

    def survey(self, name: str) -> Survey | None:
        return next((survey for survey in self.surveys if survey.name == name), None)

    def kind_told_by(self, fact: str) -> Kind | None:
        return next((kind for kind in self.kinds.values() if kind.fact == fact), None)

    @property
    def kept_metrics(self) -> tuple[str, ...]:
        return (self.referrals.ask.urgent_metric,)
