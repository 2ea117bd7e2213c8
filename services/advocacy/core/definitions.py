"""Definitions: the company's surveys (`config/surveys/*.yaml`) and referral rules (`config/referrals.yaml`), and their checks."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec

from services.advocacy.core.survey_kinds import SurveyKind
from shared.contracts.lifecycle import Stage
from shared.definitions import At, Loaded, Mistake, named
from shared.durations import Duration, in_words
from shared.values import minor_digits

Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,39}$")]
Role = Annotated[str, msgspec.Meta(pattern="^[^A-Z]+$")]
Money = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A typo is a mistake, never a setting nobody reads."""


class Interval(Duration):
    """From a week to ten years: whatever recurs, recurs on the account's own clock."""

    shortest = timedelta(days=7)


class Trigger(Strict, frozen=True, kw_only=True):
    """What starts a survey. Exactly one of stage (entered, `from` another one), flag (raised), signal, milestone, tenure
    (how long the account has been with us, on its own clock) or every: again each time so much more of it has passed.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"on": "a key of its own: stage, signal, tenure", "day": "tenure"}

    stage: Stage | None = None
    """The stage that was entered."""
    from_: Stage | None = msgspec.field(name="from", default=None)
    """The stage that it was entered from."""
    flag: str | None = None
    """The flag that was raised."""
    signal: str | None = None
    """The signal that was announced."""
    milestone: str | None = None
    """The milestone that was reached."""
    tenure: Duration | None = None
    """How long the account has been with us."""
    every: Interval | None = None
    """How often, counted from when the account came to us: `90d` is day 90, day 180, ..."""


class Audience(Strict, frozen=True, kw_only=True):
    """Who is asked: the first `max_recipients` in the order of `roles` (none named: anybody), then by user id."""

    roles: tuple[Role, ...] = ()
    """Roles in order of preference; none named is anybody."""
    max_recipients: Count = 1
    """At most so many people."""


class Cooldown(Strict, frozen=True, kw_only=True):
    """How long a person is not asked again: by this survey (an answer of its kind counts too), and by any."""

    RENAMED: ClassVar[Mapping[str, str]] = {"same_survey_days": "same_survey", "any_survey_days": "any_survey"}

    same_survey: Duration = Duration(days=90)
    """Until the same survey, or another of its kind, may ask the person again."""
    any_survey: Duration = Duration(days=30)
    """Until any survey may ask the person again."""


class Survey(Strict, frozen=True, kw_only=True):
    """One survey. `never_in` are stages in which it is not sent; `open` is how long it takes answers."""

    RENAMED: ClassVar[Mapping[str, str]] = {"triggers": "on", "rest": "cooldown", "open_days": "open"}

    name: Name
    """The file's name without `.yaml`."""
    kind: str
    """The scale, and the figure that sums the answers up."""
    question: Annotated[str, msgspec.Meta(min_length=5, max_length=300)]
    """The question as the page shows it."""
    play: Name
    """The play on request that sends the invitation."""
    on: Annotated[tuple[Trigger, ...], msgspec.Meta(min_length=1)]
    """Triggers; one is enough."""
    audience: Audience = Audience()
    """Who is asked."""
    cooldown: Cooldown = Cooldown()
    """How long a person is not asked again."""
    open: Duration = Duration(days=14)
    """How long an invitation takes answers."""
    never_in: tuple[Stage, ...] = ()
    """Stages in which it is not sent."""


class Wait(Duration):
    """A duration that may be none: `0d` is at once."""

    shortest = timedelta()


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
    """The play on request that sends the invitation."""
    page_play: Annotated[str, msgspec.Meta(pattern="^([a-z][a-z0-9_]{0,39})?$")] = ""
    """The play on request that mails advocates the link to their own page when they ask for it; empty: none does."""
    signal: str = "advocate_candidate"
    """The signal that makes an account a candidate."""
    stage: Stage = "advocacy"
    """The stage that makes an account a candidate."""
    candidate_for: Duration = Duration(days=90)
    """How long an account stays a candidate."""
    wait: Wait = Wait(days=14)
    """How long an account is a candidate before it is asked: the review is asked for first."""
    promoter_score: Annotated[int, msgspec.Meta(ge=0, le=10)] = 9
    """The lowest NPS score of a promoter."""
    promoter_within: Duration = Duration(days=90)
    """How old that score may be."""
    min_score: Annotated[float, msgspec.Meta(ge=0, le=100)] = 80
    """The lowest health score at which we ask."""
    exit_score: Annotated[float, msgspec.Meta(ge=0, le=100)] = 60
    """The health score below which an open ask is withdrawn."""
    min_tenure: Duration = Duration(days=180)
    """How long the account must have been with us."""
    urgent_metric: str = "open_urgent_tickets"
    """The metric that must be zero or unknown: we owe an answer while it is not."""
    cooldown: Duration = Duration(days=90)
    """Until the person may be asked again, or for the first time after another favour, such as a review."""
    cooldown_after_decline: Duration = Duration(days=180)
    """Until a person who declined may be asked again."""
    open: Duration = Duration(days=14)
    """How long an ask may still be sent. An answer is taken as long as the programme runs."""


class AttributionWindow(Duration):
    """From 30 to 90 days: the usual range of referral programmes."""

    shortest = timedelta(days=30)
    longest = timedelta(days=90)


class Attribution(Strict, frozen=True, kw_only=True):
    """When a sign-up belongs to a code: `within` this time of its issue or its last click, by a really new account."""

    RENAMED: ClassVar[Mapping[str, str]] = {"days": "within", "new_account_days": "new_account"}

    counts_from: Literal["issue", "last_click"] = "last_click"
    """What the time is counted from."""
    within: AttributionWindow = AttributionWindow(days=60)
    """How long after that a sign-up belongs to the code."""
    new_account: Duration = Duration(days=14)
    """How old an account may be at its sign-up to count as new."""


class FactNames(Strict, frozen=True, kw_only=True):
    """The usage events (forwarded by lifecycle) that tell of a referral's progress."""

    signup: str = "referred_signup"
    """A sign-up with a code; properties: `referral_code`, `email`."""
    paid: str = "invoice_paid"
    """A payment; the first that reaches the minimum converts the referral; properties: `amount`, `currency`, `invoice_id`."""
    refunded: str = "invoice_refunded"
    """A refund; properties: `invoice_id`, `amount` (none: everything), `currency`, `refund_id`."""
    code_issued: str = "referral_code_issued"
    """A code that an earlier tool gave out; properties: `referral_code`."""


class RefundRules(Strict, frozen=True, kw_only=True):
    """What a refund takes back."""

    reverse_from: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    """The share of the payment, given back within the hold, from which on its rewards are reversed; below, they stand."""


class Hold(Duration):
    """At least two weeks, in which most refunds come; at most a year."""

    shortest = timedelta(days=14)
    longest = timedelta(days=365)


class Rewards(Strict, frozen=True, kw_only=True):
    """What both sides get, in minor units. With `review: manual` a person lets each reward out of `pending`."""

    RENAMED: ClassVar[Mapping[str, str]] = {"hold_days": "hold"}

    currency: Currency
    """Three letters, ISO 4217."""
    referrer: Money
    """For whoever referred, in minor units; 0 is no reward."""
    referred: Money
    """For whoever was referred, in minor units."""
    hold: Hold = Hold(days=30)
    """How long a reward is pending."""
    per_referrer_per_month: Count = 10
    """At most so many rewards of a referrer in a month."""
    review: Literal["automatic", "manual"] = "automatic"
    """`manual`: a person lets each reward out of pending."""


class Referrals(Strict, frozen=True, kw_only=True):
    """How referrals work. `free_mail` are domains that name a provider, not a company; `signup_url` is where a code's link leads."""

    enabled: bool = True
    """Whether the programme runs: while it does not, nobody is asked to refer, and its links say that it has ended."""
    ask: AskRules = AskRules()
    """Who may be asked, and how often."""
    attribution: Attribution = Attribution()
    """When a sign-up belongs to a code."""
    facts: FactNames = FactNames()
    """Usage events that say how far a referral came."""
    minimum: dict[Currency, Money] = {}
    """The least payment that counts, by its currency, in minor units; other currencies wait for a review. None named: 1.00, or 10 of a currency without decimals."""
    refund: RefundRules = RefundRules()
    """What a refund takes back."""
    rewards: Rewards
    """What both sides get."""
    free_mail: tuple[str, ...] = ()
    """Domains that name a provider of mail, not a company."""
    signup_url: Annotated[str, msgspec.Meta(pattern="^(https?://[^\\s#]+)?$")] = ""
    """Where the button of a code's page leads, with the code; empty: the page shows the code."""
    about: Annotated[str, msgspec.Meta(max_length=300)] = ""
    """What the product is, in a sentence or two, for people who have never heard of it: on the page of a code's link."""

    def least_payment(self, currency: str) -> int | None:
        """The least payment in this currency that counts, in minor units; None where a person must look at it."""
        if self.minimum:
            return self.minimum.get(currency)
        digits = minor_digits(currency)
        return 10**digits if digits else 10


class Definitions(NamedTuple):
    """Everything the company defined, checked. `versions` are the files' hashes by survey name, and `referrals`.

    `files` are the bytes of those files, by the same names.
    """

    surveys: tuple[Survey, ...]
    referrals: Referrals
    kinds: Mapping[str, SurveyKind]
    versions: dict[str, str]
    files: Mapping[str, bytes] = {}

    def survey(self, name: str) -> Survey | None:
        return next((survey for survey in self.surveys if survey.name == name), None)

    def kind_of_fact(self, fact: str) -> SurveyKind | None:
        """The kind whose answers come in as this usage event."""
        return next((kind for kind in self.kinds.values() if kind.fact == fact), None)

    @property
    def stored_metrics(self) -> tuple[str, ...]:
        """The metrics that rules read; no other one is stored."""
        return (self.referrals.ask.urgent_metric,)


class Vocabulary(NamedTuple):
    """The names that other files define: lifecycle.yaml, and `plays` (True for one on request).

    None means that there is no such file at hand: what names something in it is not checked.
    """

    stages: Collection[str] | None = None
    signals: Collection[str] | None = None
    flags: Collection[str] | None = None
    milestones: Collection[str] | None = None
    metrics: Collection[str] | None = None
    facts: Collection[str] | None = None
    plays: Mapping[str, bool] | None = None


TRIGGER_KINDS = ("stage", "flag", "signal", "milestone", "tenure", "every")


def survey_mistakes(
    loaded: Loaded[Survey], kinds: Mapping[str, SurveyKind], vocabulary: Vocabulary
) -> Iterable[Mistake]:
    """What the types cannot say about a survey."""
    survey = loaded.value
    if not loaded.file.endswith(f"/{survey.name}.yaml"):
        yield loaded.mistake(("name",), f"survey '{survey.name}' stands in a file of another name")
    if survey.name == "referrals":
        yield loaded.mistake(("name",), "'referrals' is the name of the referral rules")
    if survey.kind not in kinds:
        yield loaded.mistake(("kind",), *named(f"no kind of survey '{survey.kind}'", survey.kind, kinds))
    if survey.open > survey.cooldown.same_survey:
        yield loaded.mistake(("open",), "a person could have this survey open twice: make cooldown.same_survey longer")
    yield from _unknown_play(loaded, ("play",), survey.play, vocabulary)
    yield from _trigger_mistakes(loaded, vocabulary)
    for index, stage in enumerate(survey.never_in):
        yield from _unknown(loaded, ("never_in", index), "stage", stage, vocabulary.stages)


def _trigger_mistakes(loaded: Loaded[Survey], vocabulary: Vocabulary) -> Iterable[Mistake]:
    triggers = loaded.value.on
    for index, trigger in enumerate(triggers):
        at: At = ("on", index)
        if trigger in triggers[:index]:
            yield loaded.mistake(at, "this trigger stands here twice")
        if len([kind for kind in TRIGGER_KINDS if getattr(trigger, kind) is not None]) != 1:
            yield loaded.mistake(at, f"a trigger names exactly one of {', '.join(TRIGGER_KINDS)}")
        if trigger.every and trigger.every < loaded.value.cooldown.same_survey:
            same = in_words(loaded.value.cooldown.same_survey)
            yield loaded.mistake((*at, "every"), f"nobody is asked that often: cooldown.same_survey is {same}")
        if trigger.from_ and trigger.stage is None:
            yield loaded.mistake((*at, "from"), "only a stage is entered from another one")
        if trigger.stage and trigger.stage in loaded.value.never_in:
            yield loaded.mistake(at, f"'{trigger.stage}' starts the survey and is never surveyed")
        yield from _unknown_names(loaded, at, trigger, vocabulary)


def _unknown_names(loaded: Loaded[Survey], at: At, trigger: Trigger, vocabulary: Vocabulary) -> Iterable[Mistake]:
    for key, what, name, names in (
        ("stage", "stage", trigger.stage, vocabulary.stages),
        ("from", "stage", trigger.from_, vocabulary.stages),
        ("flag", "flag", trigger.flag, vocabulary.flags),
        ("signal", "signal", trigger.signal, vocabulary.signals),
        ("milestone", "milestone", trigger.milestone, vocabulary.milestones),
    ):
        if name:
            yield from _unknown(loaded, (*at, key), what, name, names)


def referral_mistakes(loaded: Loaded[Referrals], vocabulary: Vocabulary) -> Iterable[Mistake]:
    """What the types cannot say about the referral rules."""
    ask, facts = loaded.value.ask, loaded.value.facts
    yield from _unknown_in_referrals(loaded, vocabulary)
    if ask.exit_score > ask.min_score:
        yield loaded.mistake(("ask", "exit_score"), "an account would be asked and dropped at the same score")
    if ask.wait > ask.candidate_for:
        yield loaded.mistake(("ask", "wait"), "nobody would be a candidate any more by then: make candidate_for longer")
    if ask.open > ask.cooldown:
        yield loaded.mistake(("ask", "open"), "two asks could be open at once: make the cooldown longer")
    if len({facts.signup, facts.paid, facts.refunded, facts.code_issued}) < 4:
        yield loaded.mistake(("facts",), "one event cannot tell two things")
    for index, domain in enumerate(loaded.value.free_mail):
        if domain != domain.strip().lower() or "@" in domain or "." not in domain:
            yield loaded.mistake(("free_mail", index), f"'{domain}' is not a domain in lower case")


def _unknown_in_referrals(loaded: Loaded[Referrals], vocabulary: Vocabulary) -> Iterable[Mistake]:
    """Names that no other file has, of those that stand in this one: a default that nobody wrote is no mistake of anybody."""
    ask, facts = loaded.value.ask, loaded.value.facts
    written: tuple[tuple[At, str, str, Collection[str] | None], ...] = (
        (("ask", "stage"), "stage", ask.stage, vocabulary.stages),
        (("ask", "signal"), "signal", ask.signal, vocabulary.signals),
        (("ask", "urgent_metric"), "metric", ask.urgent_metric, vocabulary.metrics),
        (("facts", "signup"), "fact", facts.signup, vocabulary.facts),
        (("facts", "paid"), "fact", facts.paid, vocabulary.facts),
        (("facts", "refunded"), "fact", facts.refunded, vocabulary.facts),
        (("facts", "code_issued"), "fact", facts.code_issued, vocabulary.facts),
    )
    for at, what, name, names in written:
        if at in loaded.lines:
            yield from _unknown(loaded, at, what, name, names)
    for key, play in (("play", ask.play), ("page_play", ask.page_play)):
        if ("ask", key) in loaded.lines and play:
            yield from _unknown_play(loaded, ("ask", key), play, vocabulary)


def _unknown(loaded: Loaded[Any], at: At, what: str, name: str, names: Collection[str] | None) -> Iterable[Mistake]:
    if names is not None and name not in names:
        yield loaded.mistake(at, *named(f"lifecycle has no {what} '{name}'", name, names))


def _unknown_play(loaded: Loaded[Any], at: At, play: str, vocabulary: Vocabulary) -> Iterable[Mistake]:
    """A play that is not there, or one that starts by itself and takes no request."""
    plays = vocabulary.plays
    if plays is None or plays.get(play):
        return
    on_request = [name for name, requested in plays.items() if requested]
    if play in plays:
        problem = f"the play '{play}' starts by itself: an invitation is sent by a play with 'on: request'"
        yield loaded.mistake(at, *named(problem, "", on_request))
    else:
        yield loaded.mistake(at, *named(f"there is no play '{play}' on request", play, on_request))
