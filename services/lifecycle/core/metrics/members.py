"""Metrics over members seen in the last days: active_users, user_days, features."""

from collections.abc import Iterator

from services.lifecycle.core.activity import MAX_MEMBER_DAYS, count_member_days, count_members, nobody, see
from services.lifecycle.core.changes import USERS
from services.lifecycle.core.evaluation import Evaluation, Occurrence
from services.lifecycle.core.findings import Findings
from services.lifecycle.core.metrics.kind import CompiledByName, CompiledMetric, MetricKind, StoreWrite
from services.lifecycle.core.state import Account
from shared.definitions import At, Mistake

MAX_USERS = 50_000
MAX_FEATURES = 500


class ActiveUsers(MetricKind, frozen=True, tag="active_users"):
    """Users with an event of the class in `days`."""

    of: str
    days: int

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)
        yield from find.window(at, self.days, MAX_MEMBER_DAYS)

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        write, days = _users(self.of), self.days

        def read(evaluation: Evaluation) -> float:
            return float(count_members(evaluation.account.active_members.get(write.store), evaluation.day, days))

        return CompiledMetric(read, frozenset({write.store}), (self.of,), (write,))


class UserDays(MetricKind, frozen=True, tag="user_days"):
    """Pairs of user and day with an event of the class in `days`: over `days` it is the mean of daily actives."""

    of: str
    days: int

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)
        yield from find.window(at, self.days, MAX_MEMBER_DAYS)

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        write, days = _users(self.of), self.days

        def read(evaluation: Evaluation) -> float:
            return float(count_member_days(evaluation.account.active_members.get(write.store), evaluation.day, days))

        return CompiledMetric(read, frozenset({write.store}), (self.of,), (write,))


class Features(MetricKind, frozen=True, tag="features"):
    """Distinct features of the class's events in `days`."""

    of: str
    days: int

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)
        yield from find.window(at, self.days, MAX_MEMBER_DAYS)
        if self.of in find.names.events and self.of not in find.names.with_feature:
            yield find.at((*at, "of"), f"event class '{self.of}' does not say where its feature stands")

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        store, days = f"features:{self.of}", self.days

        def write(account: Account, occurrence: Occurrence) -> bool:
            feature = occurrence.feature[:200]
            return bool(feature) and _see(account, store, feature, occurrence.day, MAX_FEATURES)

        def read(evaluation: Evaluation) -> float:
            return float(count_members(evaluation.account.active_members.get(store), evaluation.day, days))

        return CompiledMetric(read, frozenset({store}), (self.of,), (StoreWrite(self.of, store, lambda _keep: write),))


def _users(of: str) -> StoreWrite:
    store = f"{USERS}{of}"

    def write(account: Account, occurrence: Occurrence) -> bool:
        return _see(account, store, occurrence.user, occurrence.day, MAX_USERS)

    return StoreWrite(of, store, lambda _keep: write)


def _see(account: Account, store: str, member: str, day: int, max_members: int) -> bool:
    active = account.active_members.get(store)
    if active is None:
        active = account.active_members[store] = nobody(day)
    return see(active, member, day, max_members)
