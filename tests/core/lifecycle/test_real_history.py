"""The core finds, in a real year of 383 accounts, the dates that the records say."""

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from services.lifecycle.core.fold import fold
from services.lifecycle.core.state import Account, begin
from shared.contracts.lifecycle import LifecycleMessage, MilestoneReached, StageChanged
from shared.contracts.usage import HISTORY_ENDED, UsageEvent
from tests.core.lifecycle.make import DECIDED, default_definition, event

COURSE_BEGINS = datetime(2013, 10, 1, tzinfo=UTC)
COURSE_ENDS = datetime(2014, 6, 26, tzinfo=UTC)
pytestmark = pytest.mark.real_data


class Line(msgspec.Struct):
    """A line of the sample."""

    account_id: str
    event: str
    timestamp: datetime
    properties: msgspec.Raw


def usage(folder: Path) -> Iterator[UsageEvent]:
    decode = msgspec.json.Decoder(Line).decode
    with gzip.open(folder / "sample_AAA_2013J_events.ndjson.gz") as lines:
        for number, line in enumerate(map(decode, lines)):
            one = event(line.event, line.timestamp, number, account=line.account_id, history="oulad")
            yield msgspec.structs.replace(one, properties=line.properties)


class Year:
    """The sample, folded."""

    def __init__(self, folder: Path) -> None:
        plan = default_definition()
        self.accounts: dict[str, Account] = {}
        self.decisions: list[LifecycleMessage] = []
        for one in usage(folder):
            account = self.accounts.get(one.account)
            if account is None:
                account = self.accounts[one.account] = begin(one.account, one.at)
            self.decisions += fold(account, one, plan, DECIDED)
        for name, account in self.accounts.items():
            end = event(HISTORY_ENDED, COURSE_ENDS, account=name, history="oulad", properties={"live": False})
            self.decisions += fold(account, end, plan, DECIDED)

    def days(self, milestone: str) -> dict[str, int]:
        """When each account reached it, in days of the course."""
        reached = {name: account.milestones.get(milestone) for name, account in self.accounts.items()}
        return {name: (at - COURSE_BEGINS).days for name, at in reached.items() if at}


@pytest.fixture(scope="module")
def year(oulad: Path) -> Year:
    return Year(oulad)


def expected(folder: Path, column: str) -> dict[str, int]:
    """What the records of this course say of each enrolment that has it."""
    with gzip.open(folder / "main/expected_milestones.csv.gz", "rt") as lines:
        rows: Iterator[dict[str, str]] = csv.DictReader(lines)
        course = [row for row in rows if (row["code_module"], row["code_presentation"]) == ("AAA", "2013J")]
    return {f"L{row['id_student']}": int(row[column]) for row in course if row[column]}


@pytest.mark.parametrize(
    ("milestone", "column"),
    [
        ("first_use", "first_activity"),
        ("first_value", "first_submission"),
        ("cancelled", "date_unregistration"),
        ("subscribed", "date_registration"),
    ],
)
def test_every_milestone_has_the_date_in_the_records(year: Year, oulad: Path, milestone: str, column: str):
    found = year.days(milestone)
    assert len(found) > 50
    assert found == expected(oulad, column)


def test_every_account_that_cancelled_is_churned_since_that_day_and_no_other_is(year: Year, oulad: Path):
    churned = {name: account for name, account in year.accounts.items() if account.stage == "churned"}
    entered = {name: (account.entered_at - COURSE_BEGINS).days for name, account in churned.items()}
    assert entered == expected(oulad, "date_unregistration")


def test_usage_after_the_cancellation_changes_no_stage(year: Year):
    moves = Counter(one.previous for one in year.decisions if isinstance(one, StageChanged))
    assert moves["churned"] == 0


def test_the_stages_at_the_end_are_what_a_course_looks_like(year: Year, capsys: pytest.CaptureFixture[str]):
    stages = Counter(account.stage for account in year.accounts.values())
    with capsys.disabled():
        print(f"\nOULAD AAA 2013J, stages at the end: {dict(stages.most_common())}")  # noqa: T201
    assert stages["churned"] == 60
    assert stages["retention"] > 200, "most students who stay hand in to the end"
    assert stages["onboarding"] < 20
    assert stages["adoption"] < 100


def test_those_who_stay_and_never_hand_in_again_are_flagged(year: Year, oulad: Path):
    last = expected(oulad, "last_activity")
    silent = {name for name, day in last.items() if day < 200 and year.accounts[name].stage != "churned"}
    flagged = {name for name in silent if {"at_risk", "dormant"} <= year.accounts[name].flags.keys()}
    assert len(silent) > 10
    assert flagged == silent


def test_no_account_of_the_year_has_a_gap_in_its_messages(year: Year):
    numbers: dict[str, int] = {}
    for one in year.decisions:
        assert one.seq == numbers.get(one.account, 0) + 1
        numbers[one.account] = one.seq


def test_no_milestone_is_corrected_where_events_come_in_order(year: Year):
    assert not [one for one in year.decisions if isinstance(one, MilestoneReached) and one.corrected]
