"""REST of advocacy: surveys and answers, referrals, advocates, the ledger, notes, and the moves of a reward."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, assert_never
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime, BaseModel

from services.advocacy.core.decisions import Answer
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.ledger import Reward
from services.advocacy.core.referral import Code, Referral
from services.advocacy.core.statistics import Estimate, share
from services.advocacy.core.survey_kinds import SurveyKind
from services.advocacy.handlers import move_reward as move_reward_to
from services.advocacy.http.models import (
    AdvocateView,
    AnswerView,
    Balance,
    EntryView,
    Figure,
    Ledger,
    Move,
    NoteView,
    ReferralView,
    RewardView,
    SurveyView,
)
from services.advocacy.store import queries
from services.advocacy.store.queries import ScoreCount, SentAndAnswered
from shared.contracts.advocacy import NoteKind, ReferralStatus, RewardStatus
from shared.failures import Refused
from shared.http.audit import Act, administrative
from shared.http.auth import require_key
from shared.http.paging import (
    Count,
    CountedPage,
    Cursor,
    Limit,
    Page,
    Since,
    bad_cursor,
    decode_cursor,
    encode_cursor,
    order_of,
    sorts_in_words,
)
from shared.service.context import ServiceContext
from shared.service.journal import Journal

SurveyName = Annotated[str, Path(pattern=r"^[^\x00]{1,200}$")]

Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]
"""A value of a cursor. PostgreSQL stores no NUL."""
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Filter = Annotated[str | None, Query(max_length=200)]
_SORT_TYPES: dict[str, Any] = {"at": Moment, "issued_at": Moment, "signed_up_at": Moment, "score": int}
"""The type of a cursor's sort value; a text where nothing is said."""


def router(context: ServiceContext, definitions: Definitions, journal: Journal) -> APIRouter:
    """Every route takes a key of kind read; moving a reward takes admin."""
    routes = APIRouter(prefix="/v1", dependencies=[Depends(require_key(context.keys, "read"))])
    _add_surveys(routes, context, definitions)
    _add_referrals(routes, context)
    _add_rewards(routes, context, journal)
    return routes


def _add_surveys(routes: APIRouter, context: ServiceContext, definitions: Definitions) -> None:
    @routes.get("/surveys", tags=["surveys"])
    async def list_surveys(
        since: Annotated[datetime | None, Query(description="count answers from then on, with a time zone")] = None,
    ) -> list[SurveyView]:
        """Every survey with its response rate and its score."""
        if since is not None and since.tzinfo is None:
            raise Refused("`since` needs a time zone, like 2026-11-22T12:00:00Z", "no_time_zone", 422)
        async with context.database.snapshot() as read:
            sent, counts = await queries.sent_and_answered(read), await queries.score_counts(read, since)
        return survey_views(definitions, sent, counts)

    @routes.get("/surveys/{name:id}/answers", tags=["surveys"])
    async def list_answers(
        name: SurveyName,
        account: Filter = None,
        q: Annotated[str | None, Query(max_length=200, description="text in the comment or the account's id")] = None,
        since: Since = None,
        sort: Annotated[str, Query(description=sorts_in_words(queries.ANSWER_SORTS))] = "-at",
        count: Count = False,
        at: Cursor = None,
        limit: Limit = 100,
    ) -> CountedPage[AnswerView]:
        """One survey's answers, the latest first."""
        by, descending = order_of(sort, queries.ANSWER_SORTS)
        start, wanted = _behind(at, by), queries.AnswerFilter(name, account, q, since)
        async with context.database.snapshot() as read:
            found = await queries.answers(read, wanted, by, start, limit + 1, descending=descending)
            total = await queries.count_answers(read, wanted) if count else None
        if not found and not start and definitions.survey(name) is None:
            raise Refused(f"there is no survey '{name}', and no answers to one", "no_survey", 404)
        items = [_answer_view(each, definitions) for each in found[:limit]]
        return CountedPage(items=items, next=_next(found, limit, by, "id"), total=total)

    @routes.get("/notes", tags=["surveys"])
    async def list_notes(
        kind: NoteKind | None = None, since: Since = None, at: Cursor = None, limit: Limit = 100
    ) -> Page[NoteView]:
        """What was due and not done, and why, the latest first."""
        start = _start(at, Moment, Text)
        async with context.database.snapshot() as read:
            found = await queries.notes(read, kind, start, limit + 1, since)
        return Page(items=[NoteView(**each._asdict()) for each in found[:limit]], next=_next(found, limit, "at", "id"))


def _add_referrals(routes: APIRouter, context: ServiceContext) -> None:
    @routes.get("/referrals", tags=["referrals"])
    async def list_referrals(
        status: ReferralStatus | None = None,
        account: Filter = None,
        q: Annotated[str | None, Query(max_length=200, description="text in the code or an account's id")] = None,
        since: Annotated[AwareDatetime | None, Query(description="signed up then or later, with a time zone")] = None,
        sort: Annotated[str, Query(description=sorts_in_words(queries.REFERRAL_SORTS))] = "id",
        count: Count = False,
        at: Cursor = None,
        limit: Limit = 100,
    ) -> CountedPage[ReferralView]:
        """Referred accounts with their rewards, by id."""
        by, descending = order_of(sort, queries.REFERRAL_SORTS)
        wanted, start = queries.ReferralFilter(status, account, q, since), _behind(at, by)
        async with context.database.snapshot() as read:
            found = await queries.referrals(read, wanted, by, start, limit + 1, descending=descending)
            booked = await queries.rewards_of(read, [referral.id for referral, _ in found[:limit]])
            total = await queries.count_referrals(read, wanted) if count else None
        items = [_referral_view(referral, referrer, booked[referral.id]) for referral, referrer in found[:limit]]
        return CountedPage(
            items=items, next=_following(items, len(found), "referred" if by == "account" else by, "id"), total=total
        )

    @routes.get("/advocates", tags=["referrals"])
    async def list_advocates(
        account: Filter = None,
        q: Annotated[str | None, Query(max_length=200, description="text in the code or an id")] = None,
        since: Annotated[
            AwareDatetime | None, Query(description="got the code then or later, with a time zone")
        ] = None,
        sort: Annotated[str, Query(description=sorts_in_words(queries.ADVOCATE_SORTS))] = "code",
        count: Count = False,
        at: Cursor = None,
        limit: Limit = 100,
    ) -> CountedPage[AdvocateView]:
        """People who hold a code, by code."""
        by, descending = order_of(sort, queries.ADVOCATE_SORTS)
        wanted, start = queries.AdvocateFilter(account, q, since), _behind(at, by)
        async with context.database.snapshot() as read:
            found = await queries.advocates(read, wanted, by, start, limit + 1, descending=descending)
            total = await queries.count_advocates(read, wanted) if count else None
        items = [_advocate_view(code, brought) for code, brought in found[:limit]]
        return CountedPage(items=items, next=_following(items, len(found), by, "code"), total=total)

    @routes.get("/asks", tags=["referrals"])
    async def count_asks() -> dict[str, int]:
        """How many people were asked to refer others, by status: open, accepted, declined, withdrawn."""
        async with context.database.snapshot() as read:
            return await queries.count_asks(read)


def _add_rewards(routes: APIRouter, context: ServiceContext, journal: Journal) -> None:
    @routes.get("/ledger", tags=["referrals"])
    async def ledger(
        account: Annotated[str | None, Query(max_length=200, description="the ledger's account")] = None,
        status: RewardStatus | None = None,
        q: Annotated[
            str | None, Query(max_length=200, description="text in a transaction's, reward's or account's id")
        ] = None,
        since: Annotated[AwareDatetime | None, Query(description="booked then or later, with a time zone")] = None,
        sort: Annotated[str, Query(description=sorts_in_words(queries.LEDGER_SORTS))] = "transaction",
        count: Count = False,
        at: Cursor = None,
        limit: Limit = 100,
    ) -> Ledger:
        """Lines of the double-entry ledger, a transaction's together; the balances are of the whole ledger."""
        by, descending = order_of(sort, queries.LEDGER_SORTS)
        wanted, start = queries.LedgerFilter(account, status, q, since), _behind(at, by)
        async with context.database.snapshot() as read:
            lines = await queries.ledger_lines(read, wanted, by, start, limit + 1, descending=descending)
            total = await queries.count_ledger_lines(read, wanted) if count else None
            balances = [Balance(**each._asdict()) for each in await queries.ledger_balances(read)]
        items = [EntryView(**each._asdict()) for each in lines[:limit]]
        last = [getattr(items[-1], by), queries.ledger_line_id(lines[limit - 1])] if len(lines) > limit else None
        following = encode_cursor(last) if last else None
        balance = sum(each.amount for each in balances)
        return Ledger(items=items, next=following, balances=balances, sum=balance, total=total)

    @routes.post("/rewards/{reward}/{move}", tags=["referrals"])
    async def move_reward(
        reward: UUID, move: Move, act: Annotated[Act, administrative(context, "reward_moved")]
    ) -> RewardView:
        """Let a pending reward out of review (approve), note that a payable one was paid, or take one back (reverse)."""
        async with act.transaction(str(reward), move=move) as tx:
            return _reward_view(
                await move_reward_to(tx, str(reward), _status_after(move), journal, context.clock.now())
            )


def _status_after(move: Move) -> RewardStatus:
    match move:
        case "approve":
            return "held"
        case "pay":
            return "paid"
        case "reverse":
            return "reversed"
        case _:
            assert_never(move)


def _start(text: str | None, *types: Any) -> Any:
    """A cursor's values, each of the type that the query takes; None for the first page. Raises Refused."""
    values = decode_cursor(text, len(types))
    if values is None:
        return None
    try:
        return tuple(msgspec.convert(value, kind) for value, kind in zip(values, types, strict=True))
    except msgspec.ValidationError:
        raise bad_cursor() from None


def _behind(text: str | None, by: str) -> Any:
    """The sort value and id that a page begins behind; None for the first page. Raises Refused."""
    return _start(text, _SORT_TYPES.get(by, Text), Text)


def _following(items: Sequence[BaseModel], found: int, sorted_by: str, id_field: str) -> str | None:
    """The cursor of the page after these, by these fields of theirs; None where no more were found."""
    return encode_cursor([getattr(items[-1], sorted_by), getattr(items[-1], id_field)]) if found > len(items) else None


def _next(found: Sequence[object], limit: int, *fields: str) -> str | None:
    """The cursor of the page after `limit` of these; None where there is no more."""
    if len(found) <= limit:
        return None
    return encode_cursor([getattr(found[limit - 1], field) for field in fields])


def survey_views(
    definitions: Definitions, sent: dict[str, SentAndAnswered], counts: Iterable[ScoreCount]
) -> list[SurveyView]:
    """The company's surveys in their order, then those of other tools by name."""
    by_survey: dict[tuple[str, str], list[ScoreCount]] = {(each.name, each.kind): [] for each in definitions.surveys}
    for count in counts:
        by_survey.setdefault((count.survey, count.survey_kind), []).append(count)
    return [
        _survey_view(definitions, name, definitions.kinds[kind], sent.get(name, SentAndAnswered()), counted)
        for (name, kind), counted in by_survey.items()
        if kind in definitions.kinds
    ]


def _survey_view(
    definitions: Definitions, name: str, kind: SurveyKind, sent: SentAndAnswered, counts: list[ScoreCount]
) -> SurveyView:
    defined = definitions.survey(name)
    ours = defined is not None and defined.kind == kind.name
    figures = sent if ours else SentAndAnswered()
    return SurveyView(
        name=name,
        kind=kind.name,
        question=defined.question if defined is not None and ours else None,
        sent=figures.sent,
        answered=figures.answered,
        imported=sum(count.number for count in counts if count.imported),
        response=_figure(share(figures.answered, figures.sent)),
        score=_figure(kind.summary([count.score for count in counts for _ in range(count.number)])),
        groups=_groups(kind, counts),
    )


def _groups(kind: SurveyKind, counts: list[ScoreCount]) -> dict[str, int]:
    """Every group of the kind, the best first, with those that nobody is in."""
    groups = Counter(dict.fromkeys((kind.group(score) for score in reversed(kind.scores)), 0))
    for count in counts:
        groups[kind.group(count.score)] += count.number
    return dict(groups)


def _figure(estimate: Estimate | None) -> Figure | None:
    return None if estimate is None else Figure(**estimate._asdict())


def _answer_view(answer: Answer, definitions: Definitions) -> AnswerView:
    kind = definitions.kinds.get(answer.survey_kind)
    return AnswerView(**msgspec.structs.asdict(answer), group=kind.group(answer.score) if kind else "")


def _referral_view(referral: Referral, referrer: str | None, booked: list[Reward]) -> ReferralView:
    return ReferralView(
        id=referral.id,
        status=referral.status,
        reason=referral.reason,
        referrer=referrer,
        referred=referral.account,
        code=referral.signup.code,
        signed_up_at=referral.signup.at,
        converted_at=referral.converted_at,
        rewards=[_reward_view(reward) for reward in booked],
    )


def _reward_view(reward: Reward) -> RewardView:
    return RewardView.model_validate(msgspec.structs.asdict(reward))


def _advocate_view(code: Code, brought: dict[str, int]) -> AdvocateView:
    return AdvocateView(
        account=code.account,
        user=code.user,
        code=code.code,
        issued_at=code.issued_at,
        imported=code.imported,
        referrals=brought,
    )
