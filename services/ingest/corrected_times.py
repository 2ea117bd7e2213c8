"""Corrected times: how many events came with a time that was not believed, by source, as a metric and listed by REST.

The sender's, or that of the server that received it, whose clock was ahead.

The list is saved, over all processes; the metric is this process's own, since it began. A transaction that is tried twice
counts twice.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from fastapi import APIRouter, Depends
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel

from services.ingest.core.canonical import CanonicalEvent
from shared.http.auth import require_key
from shared.http.paging import Page
from shared.service.context import ServiceContext
from shared.service.saved_counts import MAX_LABEL, OTHER, Kind, LatestCounts, SavedCounts


class CorrectedTime(BaseModel):
    """Events of one source whose time was not believed, and the latest of them: the time as sent (or stamped by our own server), and that of its receipt."""

    source: str
    count: int
    account: str
    claimed_at: str
    received_at: datetime


class Claim(NamedTuple):
    """Of an event what the list shows: a whole one, with its raw record, would be kept for each source."""

    account: str
    claimed_at: str
    received_at: datetime


KIND = Kind("corrected_time", str, Claim)
"""As they are saved: by source, with the latest."""


class CorrectedTimes(Collector):
    """The counts, as a collector of Prometheus."""

    def __init__(self) -> None:
        self.counts = LatestCounts[str, Claim](OTHER)

    def count(self, events: Iterable[CanonicalEvent]) -> None:
        """Count those of these events whose time was not believed."""
        for event in events:
            stamped_at = event.stamped_at.isoformat() if event.stamped_at is not None else None
            claimed_at = stamped_at if event.claimed_at is None else event.claimed_at  # a blank is a claim too
            if claimed_at is not None:
                claim = Claim(event.account_id, claimed_at, event.received_at)
                self.counts.add(event.source[:MAX_LABEL], claim)

    def collect(self) -> Iterator[Metric]:
        """Prometheus: the counts."""
        family = CounterMetricFamily(
            "waymark_times_corrected",
            "Events whose time was not believed, and is that of their receipt",
            labels=["source"],
        )
        for source, times, _ in self.counts.listed():
            family.add_metric([source], times)
        yield family


def router(context: ServiceContext, corrected_times: SavedCounts[str, Claim]) -> APIRouter:
    """The route that lists them."""
    routes = APIRouter(prefix="/v1", tags=["times"])

    @routes.get("/corrected-times", dependencies=[Depends(require_key(context.keys, "read"))])
    async def list_corrected_times() -> Page[CorrectedTime]:
        """Events whose time was not believed, by source; their time is that of their receipt."""
        items = [
            CorrectedTime(source=source, count=times, **claim._asdict())
            for source, times, claim in await corrected_times.listed()
        ]
        return Page(items=items, next=None)

    return routes
