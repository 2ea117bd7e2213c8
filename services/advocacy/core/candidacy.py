"""May we ask this account to refer others, and must we stop? Each rule is one line with its reason."""

from collections.abc import Iterator
from datetime import datetime

from services.advocacy.core.account import Account, Ask
from services.advocacy.core.definitions import AskRules
from shared.durations import in_words

TOPIC = "advocacy"
KIND = "nps"


def reasons_against(account: Account, rules: AskRules) -> list[str]:
    """Everything that speaks against asking now; empty when nothing does. The console shows it as it is."""
    return [*_fitness(account, rules), *_rest(account, rules)]


def _fitness(account: Account, rules: AskRules) -> Iterator[str]:
    if not is_candidate(account, rules):
        yield "is no candidate for advocacy"
    if account.band != "green" or (account.score is not None and account.score < rules.min_score):
        yield "is not healthy enough"
    yield from troubles(account, rules)
    if account.tenure < rules.min_tenure:
        yield f"has been a customer for less than {in_words(rules.min_tenure)}"
    if promoter(account, rules) is None:
        yield f"nobody who can be asked is a promoter of the last {in_words(rules.promoter_within)}"


def _rest(account: Account, rules: AskRules) -> Iterator[str]:
    if any(account.clock - ask.at < rules.cooldown for ask in account.asks):
        yield f"was asked within {in_words(rules.cooldown)}"
    if any(account.clock - at < rules.cooldown_after_decline for at in _declined(account)):
        yield f"declined within {in_words(rules.cooldown_after_decline)}"


def is_candidate(account: Account, rules: AskRules) -> bool:
    """Lifecycle says so: by the stage it is in, or by a signal of late."""
    called = account.candidate_at
    recent = called is not None and account.clock - called <= rules.candidate_for
    return account.stage == rules.stage or recent


def troubles(account: Account, rules: AskRules) -> Iterator[str]:
    """What forbids asking, and stops an ask that is already out."""
    urgent = account.metrics.get(rules.urgent_metric)
    if account.stage == "churned":
        yield "has churned"
    if "at_risk" in account.flags:
        yield "is at risk"
    if isinstance(urgent, int | float) and urgent > 0:
        yield "has an urgent ticket open"


def fallen(account: Account, ask: Ask, rules: AskRules) -> str:
    """Why this open ask must be withdrawn at once; empty while all is well."""
    if account.band in {"yellow", "red"} or (account.score is not None and account.score < rules.exit_score):
        return "its health fell"
    if not account.contacts[ask.user].may_hear(TOPIC):
        return "the person left or unsubscribed"
    score = account.scores.get(ask.user, {}).get(KIND)
    if score and score.score < rules.promoter_score:
        return "the person is no longer a promoter"
    return next(troubles(account, rules), "")


def promoter(account: Account, rules: AskRules) -> str | None:
    """The keenest person who may be asked: the highest score, then the latest, then the first by id."""
    fit = [(-score, -at.timestamp(), user) for user, score, at in _promoters(account, rules)]
    return min(fit)[2] if fit else None


def _promoters(account: Account, rules: AskRules) -> Iterator[tuple[str, int, datetime]]:
    for user, kinds in account.scores.items():
        contact, scored = account.contacts.get(user), kinds.get(KIND)
        reachable = contact and contact.email and contact.may_hear(TOPIC) and user not in account.codes
        if reachable and scored and _promotes(account, scored.score, scored.at, rules):
            yield user, scored.score, scored.at


def _promotes(account: Account, score: int, at: datetime, rules: AskRules) -> bool:
    return score >= rules.promoter_score and account.clock - at <= rules.promoter_within


def _declined(account: Account) -> list[datetime]:
    return [ask.settled_at for ask in account.asks if ask.status == "declined" and ask.settled_at]


def turning_points(account: Account, rules: AskRules) -> list[datetime]:
    """The moments at which time alone may lift a reason."""
    lifted: list[datetime] = [account.born + rules.min_tenure] if account.born else []
    lifted += [ask.at + rules.cooldown for ask in account.asks]
    return lifted + [at + rules.cooldown_after_decline for at in _declined(account)]
