"""Feedback handlers: a bounce or a complaint speaks against an address from its commit on, in every account."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from services.notify import store
from services.notify.core.feedback import Report
from services.notify.core.person import normalised_address
from services.notify.core.state import EVERYTHING
from services.notify.persons import NewRefusal, Persons
from services.notify.store import DeliveryRecord
from shared.db.protocol import Tx

_EARLIEST_STATUSES = {"sent", "unknown"}


class FeedbackTaken(NamedTuple):
    """How many reports suppressed an address, said what was known, and could not be believed."""

    suppressed: int = 0
    known: int = 0
    unbelieved: int = 0


async def take_feedback(
    tx: Tx, reports: Iterable[Report], persons: Persons, source: str, now: datetime
) -> FeedbackTaken:
    """Suppress what is reported. One that came by mail must name a delivery of ours, and its address."""
    await persons.verify(tx, now)
    taken = FeedbackTaken()
    for report in reports:
        record = await store.load_for_update(tx, report.delivery) if report.delivery else None
        address = _believed_address(report, record)
        if not address or normalised_address(address) is None:
            taken = taken._replace(unbelieved=taken.unbelieved + 1)
            continue
        at = min(report.at or now, now)
        refusal = NewRefusal(EVERYTHING, report.reason, source, at, report.detail)
        user = record.user if record is not None and report.reason != "bounced" else None
        if await persons.suppress(tx, address, user, refusal):
            taken = taken._replace(suppressed=taken.suppressed + 1)
        else:
            taken = taken._replace(known=taken.known + 1)
    return taken


def _believed_address(report: Report, record: DeliveryRecord | None) -> str:
    """The address that is suppressed; empty where the report may be anybody's invention."""
    if not report.needs_delivery:
        return report.address
    if record is None or not record.address or record.status not in _EARLIEST_STATUSES:
        return ""
    redacted = report.reason == "complained" and normalised_address(report.address) is None
    same = normalised_address(report.address) == normalised_address(record.address)
    return record.address if redacted or same else ""
