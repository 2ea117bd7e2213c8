"""A channel is one descriptor: what is forgotten of it is found before anything runs."""

from datetime import UTC, datetime
from typing import get_args

import pytest

from services.notify.channels.channel import Channel, ChannelTable
from services.notify.channels.table import CHANNELS, check_complete
from services.notify.channels.task import TASK
from services.notify.core.channels import CAUTIOUS, AttemptOutcome, AttemptStage
from services.notify.core.delivery import DELIVERY, crash_outcome, settlement
from shared.contracts.outreach import DeliveryStatus
from shared.machine import IllegalTransition
from shared.settings import Settings


def test_a_channel_without_its_line_in_the_table_is_refused_at_import():
    with pytest.raises(ImportError, match="pigeon"):
        check_complete({*CHANNELS, "pigeon"}, CHANNELS)


def test_a_line_without_a_file_of_its_name_is_refused_at_import():
    pigeon = TASK._replace(traits=TASK.traits._replace(name="pigeon"))
    with pytest.raises(ImportError, match="pigeon"):
        check_complete({"task"}, ChannelTable(TASK, pigeon))


def test_a_channel_needs_settings_that_exist():
    with pytest.raises(ValueError, match="pigeon_url"):
        ChannelTable(TASK._replace(settings=("pigeon_url",)))


def test_two_channels_of_one_name_are_refused():
    with pytest.raises(ValueError, match="one name"):
        ChannelTable(TASK, TASK)


def test_a_channel_that_is_not_set_up_says_what_to_set():
    def build(_settings: Settings, _now: object) -> object:
        raise AssertionError("not without its settings")

    def problem(*needed: str, **given: str) -> dict[str, str]:
        pigeon = ChannelTable(Channel(TASK.traits, needed, build))  # type: ignore[arg-type]
        senders, missing = pigeon.build(Settings(**given), lambda: datetime.now(UTC))  # type: ignore[arg-type]  # noqa: TID251
        assert senders == {}
        return dict(missing)

    assert problem("webhook_url", "webhook_secret") == {
        "task": "WAYMARK_WEBHOOK_URL and WAYMARK_WEBHOOK_SECRET are not set"
    }
    assert problem("webhook_url", "webhook_secret", webhook_url="https://x.test") == {
        "task": "WAYMARK_WEBHOOK_SECRET is not set"
    }
    assert problem("webhook_url", "webhook_secret", "public_url") == {
        "task": "WAYMARK_WEBHOOK_URL, WAYMARK_WEBHOOK_SECRET and WAYMARK_PUBLIC_URL are not set"
    }


@pytest.mark.parametrize("channel", [*CHANNELS, "a channel of another version"])
@pytest.mark.parametrize("stage", get_args(AttemptStage))
def test_every_channel_says_how_a_crash_at_each_stage_ends(channel: str, stage: AttemptStage):
    outcome = crash_outcome(CHANNELS.traits, channel, stage)
    assert outcome in get_args(AttemptOutcome)
    assert channel in CHANNELS or outcome == CAUTIOUS.after(stage)


@pytest.mark.parametrize("outcome", get_args(AttemptOutcome))
def test_every_outcome_ends_a_delivery_that_is_being_sent(outcome: AttemptOutcome):
    end = settlement(outcome)
    assert DELIVERY.allows("sending", end.status)
    assert end.maybe_delivered <= end.retried


def test_what_was_sent_or_is_in_doubt_is_never_sent_again():
    assert DELIVERY.final == {"sent", "skipped", "unknown", "done"}
    with pytest.raises(IllegalTransition):
        DELIVERY.transition("unknown", "pending")


def test_only_a_preview_a_retry_or_what_somebody_sends_again_waits_for_its_sender():
    assert DELIVERY.before("pending") == {"previewed", "pending", "sending", "failed"}
    assert DELIVERY.before("sending") == {"pending", "sending"}
    assert {*get_args(DeliveryStatus)} >= DELIVERY.final
