"""How many were there in the last days? active_users, user_days, features."""

from services.lifecycle.core import active_members as members
from services.lifecycle.core.definition.metrics import ActiveUsers, Features, UserDays
from services.lifecycle.core.metrics.part import Part, Write, Writer
from services.lifecycle.core.state import Account
from services.lifecycle.core.turn import Hit, Turn

MOST_USERS = 50_000
MOST_FEATURES = 500


def active_users(_: str, metric: ActiveUsers) -> Part:
    write, days = _users(metric.of), metric.days

    def read(turn: Turn) -> float:
        return float(members.active(turn.account.active_members.get(write.store), turn.day, days))

    return Part(read, frozenset({write.store}), (metric.of,), (write,))


def user_days(_: str, metric: UserDays) -> Part:
    write, days = _users(metric.of), metric.days

    def read(turn: Turn) -> float:
        return float(members.pairs(turn.account.active_members.get(write.store), turn.day, days))

    return Part(read, frozenset({write.store}), (metric.of,), (write,))


def features(_: str, metric: Features) -> Part:
    store, days = f"features:{metric.of}", metric.days

    def write(account: Account, hit: Hit) -> bool:
        return bool(hit.feature) and _see(account, store, hit.feature[:200], hit.day, MOST_FEATURES)

    def read(turn: Turn) -> float:
        return float(members.active(turn.account.active_members.get(store), turn.day, days))

    return Part(read, frozenset({store}), (metric.of,), (Write(metric.of, store, lambda _: write),))


def _users(of: str) -> Write:
    store = f"users:{of}"

    def make(_: int) -> Writer:
        return lambda account, hit: _see(account, store, hit.user, hit.day, MOST_USERS)

    return Write(of, store, make)


def _see(account: Account, store: str, who: str, day: int, most: int) -> bool:
    seen = account.active_members.get(store)
    if seen is None:
        seen = account.active_members[store] = members.crowd(day)
    return members.see(seen, who, day, most)
