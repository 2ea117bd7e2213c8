"""Answers: the scale, the comment, and changing an answer until the survey closes."""

import pytest

from services.advocacy.core.decisions import Answer, FactRejected, Invitation
from services.advocacy.core.errors import Rejected
from services.advocacy.core.reducer import record_answer
from services.advocacy.core.survey_kinds import MAX_COMMENT_LENGTH, SURVEY_KINDS, parse_submission, preselected_score
from shared.contracts.advocacy import SurveyAnswered
from tests.core.advocacy.make import SHIPPED, Story, apply_story, day, of_type

NPS = SURVEY_KINDS["nps"]


def invited(*, history: bool = False):
    account, decisions = apply_story(
        Story(history=history).stage(0, "onboarding").contact(1, "ann").signal(5, "renewal_120")
    )
    return account, of_type(decisions, Invitation)[0]


def test_an_answer_is_kept_published_and_remembered():
    account, invitation = invited()
    account, (row, message) = record_answer(
        account, invitation, None, parse_submission(NPS, "9", " fine "), SHIPPED, day(6)
    )
    assert (row.id, row.score, row.comment, row.revision, row.stage) == (invitation.id, 9, "fine", 1, "onboarding")
    assert (message.score, message.comment, message.survey_kind, message.at) == (9.0, "fine", "nps", day(6))
    assert account.scores["ann"]["nps"].score == 9


def test_an_answer_may_be_changed_and_each_version_is_published_under_its_own_id():
    account, invitation = invited()
    previous, ids = None, set()
    for score in ("9", "3", "9"):
        account, (previous, message) = record_answer(
            account, invitation, previous, parse_submission(NPS, score), SHIPPED, day(6)
        )
        ids.add(message.id)
    assert (previous.id, previous.revision, len(ids)) == (invitation.id, 3, 3)


def test_saying_the_same_again_changes_nothing():
    account, invitation = invited()
    account, (row, _) = record_answer(account, invitation, None, parse_submission(NPS, "9"), SHIPPED, day(6))
    assert record_answer(account, invitation, row, parse_submission(NPS, "9"), SHIPPED, day(7)) == (account, [])


def test_a_closed_survey_takes_no_answer():
    account, invitation = invited()
    with pytest.raises(Rejected, match="closed on 24 January 2026") as refused:
        record_answer(account, invitation, None, parse_submission(NPS, "9"), SHIPPED, day(19))
    assert refused.value.kind == "closed"


def test_an_invitation_of_an_imported_past_takes_no_answer():
    account, invitation = invited(history=True)
    with pytest.raises(Rejected, match="imported past"):
        record_answer(account, invitation, None, parse_submission(NPS, "9"), SHIPPED, day(6))


@pytest.mark.parametrize("score", ["11", "-1", "", "9.5", "nine", "1e1", "٩", None, True, 9.5, float("nan"), "00009"])
def test_what_is_no_score_is_refused_with_the_range(score: object):
    with pytest.raises(Rejected, match="from 0 to 10") as refused:
        parse_submission(NPS, score)
    assert refused.value.kind == "invalid"


def test_a_comment_has_a_limit_and_no_control_characters():
    assert parse_submission(NPS, 10.0, "a\x00b\r\nc").comment == "ab\nc"
    with pytest.raises(Rejected, match="under 2000 characters"):
        parse_submission(NPS, "1", "x" * (MAX_COMMENT_LENGTH + 1))


def test_a_link_may_suggest_a_score_and_nonsense_suggests_nothing():
    assert [preselected_score(NPS, text) for text in ("0", "10", "11", "x", None)] == [0, 10, None, None, None]


def test_csat_is_another_kind_on_its_own_scale():
    assert parse_submission(SURVEY_KINDS["csat"], "5").score == 5
    with pytest.raises(Rejected, match="from 1 to 5"):
        parse_submission(SURVEY_KINDS["csat"], "0")


def test_an_answer_from_elsewhere_is_recorded_and_not_published_again():
    _, decisions = apply_story(
        Story(history=True).stage(0, "adoption").fact(3, "nps_answered", "ann", score=9.0, comment="hi")
    )
    (row,) = of_type(decisions, Answer)
    assert (row.user, row.score, row.comment, row.imported, row.history) == ("ann", 9, "hi", True, True)
    assert not of_type(decisions, SurveyAnswered)


def test_an_answer_from_elsewhere_that_is_none_is_named_with_its_event():
    _, decisions = apply_story(Story().stage(0, "adoption").fact(3, "nps_answered", "ann", score=12.0))
    (refused,) = of_type(decisions, FactRejected)
    assert (refused.event, refused.fact) == ("event-acme-nps_answered-3", "nps_answered")
    assert not of_type(decisions, Answer)


def test_an_older_answer_never_replaces_a_newer_one():
    account, invitation = invited()
    account, _ = record_answer(account, invitation, None, parse_submission(NPS, "9"), SHIPPED, day(8))
    late = Story()
    late.messages = (
        Story().stage(0, "a").stage(0, "a").stage(0, "a").fact(6, "nps_answered", "ann", score=1.0).messages[-1:]
    )
    account, _ = apply_story(late, account=account)
    assert account.scores["ann"]["nps"].score == 9
