"""A task says what was sent, when, or why it was not: never what its file only planned."""

import re
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from services.notify.channels.table import CHANNELS
from services.notify.core.delivery import Decision, Reason
from services.notify.core.past_steps import REASONS, in_preview, with_outcome, with_task_done
from services.notify.core.playbook import Audience
from services.notify.definition import Definition, lifecycle_names, load_plays
from tests.core.notify.make import Story, at, book, play, step

CONFIG = Path(__file__).parents[3] / "config"
QUIET = {"stage": "retention", "metrics": {"days_since_core_use": 14.0}}


@pytest.fixture(scope="module")
def shipped() -> Definition:
    return load_plays(CONFIG, CHANNELS.traits, lifecycle_names(CONFIG / "lifecycle.yaml"))


def text(shipped: Definition, decision: Decision) -> str:
    return shipped.templates.render(decision.template, shipped.company | decision.values, footer=False).text


def gone_quiet(shipped: Definition, **person: object) -> Story:
    story = Story(shipped.playbook)
    story.person("ann", role="admin", **person)
    story.signal("gone_quiet", **QUIET)
    story.wait(at(2))
    return story


def left(story: Story, decision: Decision, unsent: str = "") -> None:
    story.account = with_outcome(story.account, decision, decision.at, unsent)


def test_a_task_says_when_the_mail_before_it_left(shipped: Definition):
    story = gone_quiet(shipped)
    left(story, story.planned[0])
    task = story.wait(at(4))[0]
    assert "A mail that asks why left on 3 March 2025" in text(shipped, task)


def test_a_task_says_that_nobody_could_be_written_to(shipped: Definition):
    story = gone_quiet(shipped, unsubscribed=True)
    task = story.wait(at(4))[0]
    assert "A mail that asks why was not sent: they do not want to hear from us about this" in text(shipped, task)


def test_a_task_says_that_outreach_is_in_preview(shipped: Definition):
    (task,) = gone_quiet(shipped).wait(at(4))
    assert "was not sent: outreach is in preview" in text(shipped, replace(task, values=in_preview(task.values)))


def test_a_task_says_that_a_mail_has_not_left_yet(shipped: Definition):
    assert "was not sent: it has not left yet" in text(shipped, gone_quiet(shipped).wait(at(4))[0])


def test_a_later_task_says_whether_the_first_was_done(shipped: Definition):
    story = gone_quiet(shipped)
    left(story, story.planned[0])
    task = story.wait(at(4))[0]
    open_still = story.account
    assert "The task to call them is open since 6 March 2025" in text(shipped, story.wait(at(20))[0])
    story.account = with_task_done(open_still, task.id, at(5))
    assert "The task to call them was done on 8 March 2025" in text(shipped, story.wait(at(20))[0])


def test_of_several_people_one_who_got_it_speaks_for_the_step():
    steps = [step(0, template="mail"), step(1, "task", "call")]
    story = Story(book(play(steps=steps, audience=Audience(["any"], 2))))
    story.person("ann")
    story.person("bob")
    story.signal()
    story.wait(at(0.5))
    left(story, story.planned[0], "bounced")
    left(story, story.planned[1])
    (task,) = story.wait(at(2))
    assert (task.values["sent_mail"], task.values["messages_sent"]) == ("2025-03-03", 1.0)
    assert "unsent_mail" not in task.values


def test_a_step_to_come_says_when_it_is_due():
    story = Story(book(play(steps=[step(0, "task", "call"), step(2, template="mail")])))
    story.person()
    story.signal()
    assert story.wait(at(0))[0].values["due_mail"] == "2025-03-05"


def test_every_reason_has_words_that_a_person_reads():
    assert [reason for reason in get_args(Reason) if reason and reason not in REASONS] == []
    assert [words for words in REASONS.values() if "_" in words] == []


CLAIMS = re.compile(
    r"went out|goes out|left on|was sent|were offered|got a mail|have a mail|was shown|is due", re.IGNORECASE
)
DENIED = re.compile(r"\b(no|not)\b", re.IGNORECASE)


def test_no_shipped_task_claims_a_message_where_none_left(shipped: Definition):
    """Every task, of an account to which nothing was sent: whatever it says of messages, it denies."""
    tried = 0
    for each in shipped.playbook.plays.values():
        for wanted in (one for one in each.steps if one.channel and one.channel.opens_task):
            values = {"account_name": "Acme", "stage": "retention", "band": "red", "messages_sent": 0.0}
            values |= dict.fromkeys(
                ("gated_attempts_14d", "core_trend", "seat_utilisation", "active_users_28d", "seats"), 3.0
            )
            values |= {f"unsent_{other.name}": "nobody is known" for other in each.steps if other is not wanted}
            written = shipped.templates.render(wanted.template, shipped.company | values, footer=False)
            lines = [line for line in re.split(r"[.\n]", written.text) if CLAIMS.search(line)]
            assert [line for line in lines if not DENIED.search(line)] == [], wanted.template
            tried += 1
    assert tried >= 15
