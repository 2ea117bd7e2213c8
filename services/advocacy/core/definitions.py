"""What did the company define: which surveys, and how do referrals work? `config/surveys/*.yaml`, `config/referrals.yaml`."""

from datetime import timedelta
from typing import Annotated, Literal, NamedTuple

import msgspec

from services.advocacy.core.kinds import Kind
from shared.contracts.lifecycle import Stage

Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,39}$")]
Role = Annotated[str, msgspec.Meta(pattern="^[^A-Z]+$")]
Money = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A typo is a mistake, never a setting nobody reads."""


class OnStage(Strict, frozen=True, kw_only=True, tag_field="on", tag="stage"):
    """The account enters this stage."""

    stage: Stage


class OnSignal(Strict, frozen=True, kw_only=True, tag_field="on", tag="signal"):
    """Lifecycle raises this signal."""

    signal: str


class OnTenure(Strict, frozen=True, kw_only=True, tag_field="on", tag="tenure"):
    """The account has been with us for so many days, on its own clock."""

    day: Days


Trigger = OnStage | OnSignal | OnTenure


class Audience(Strict, frozen=True, kw_only=True):
    """Who is asked: the first `max_recipients` in the order of `roles` (none named: anybody), then by user id."""

    roles: tuple[Role, ...] = ()
    max_recipients: Count = 1


class Rest(Strict, frozen=True, kw_only=True):
    """How long a person is left in peace: after this survey (or an answer of its kind), and after any."""

    same_survey_days: Days = 90
    any_survey_days: Days = 30


class Survey(Strict, frozen=True, kw_only=True):
    """One survey. `never_in` are stages in which it is not sent; it stays open for `open_days`."""

    name: Name
    kind: str
    question: Annotated[str, msgspec.Meta(min_length=5, max_length=300)]
    play: Name
    triggers: Annotated[tuple[Trigger, ...], msgspec.Meta(min_length=1)]
    audience: Audience = Audience()
    rest: Rest = Rest()
    open_days: Days = 14
    never_in: tuple[Stage, ...] = ()


class AskRules(Strict, frozen=True, kw_only=True):
    """Who may be asked to refer others, and how often."""

    play: Name = "referral_invite"
    signal: str = "advocate_candidate"
    stage: Stage = "advocacy"
    candidate_days: Days = 90
    promoter_score: Annotated[int, msgspec.Meta(ge=0, le=10)] = 9
    promoter_days: Days = 90
    min_score: Annotated[float, msgspec.Meta(ge=0, le=100)] = 80
    exit_score: Annotated[float, msgspec.Meta(ge=0, le=100)] = 60
    min_tenure_days: Days = 180
    urgent_metric: str = "open_urgent_tickets"
    rest_days: Days = 90
    rest_after_decline_days: Days = 180
    open_days: Days = 14


class Attribution(Strict, frozen=True, kw_only=True):
    """When a sign-up belongs to a code: within `days` of its issue or its last click, by a really new account."""

    counts_from: Literal["issue", "last_click"] = "last_click"
    days: Annotated[int, msgspec.Meta(ge=30, le=90)] = 60
    new_account_days: Days = 14


class Facts(Strict, frozen=True, kw_only=True):
    """The usage events (forwarded by lifecycle) that tell of a referral's progress."""

    signup: str = "referred_signup"
    paid: str = "invoice_paid"
    refunded: str = "invoice_refunded"
    code_issued: str = "referral_code_issued"


class Rewards(Strict, frozen=True, kw_only=True):
    """What both sides get, in minor units. With `review: manual` a person lets each reward out of `pending`."""

    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    referrer: Money
    referred: Money
    hold_days: Annotated[int, msgspec.Meta(ge=14, le=365)] = 30
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


def days(number: float) -> timedelta:
    return timedelta(days=number)
