"""Task channel: work for our own people. Nothing leaves: the record in the outbox is the task."""

from services.notify.channels.channel import Channel, ConfirmSend, Delivery, Receipt
from services.notify.core.channels import ChannelTraits, CrashOutcomes, anybody


class TaskSender:
    """The record is the task."""

    async def send(self, delivery: Delivery, confirm: ConfirmSend) -> Receipt:
        await confirm()
        return Receipt("opened", reference=delivery.id)


TASK = Channel(
    ChannelTraits(
        name="task",
        reaches_customer=False,
        opens_task=True,
        quiet_hours=False,
        unsubscribe_footer=False,
        address_rule=anybody,
        crash_outcomes=CrashOutcomes(claimed="retry", data_sent="retry_idempotent"),
    ),
    settings=(),
    build=lambda _settings, _now: TaskSender(),
)
