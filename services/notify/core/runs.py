"""Which plays are under way for an account? Adding, shortening and ending runs, one value to the next."""

from msgspec.structs import replace

from services.notify.core.state import Account, Item, Run


def begun(account: Account, run: Run) -> Account:
    """With this run under way."""
    return replace(account, runs=[*account.runs, run])


def keep(account: Account, run: Run, done: Item) -> Account:
    """Without this item; a run with nothing left to do is over."""
    return _with(account, run, [item for item in _items(account, run) if item != done])


def put(account: Account, run: Run, item: Item) -> Account:
    """With this item to come, also where the run would have been over without it."""
    return _with(account, run, [*_items(account, run), item])


def ended(account: Account, run: Run) -> Account:
    """Without this run."""
    return replace(account, runs=[other for other in account.runs if not _same(other, run)])


def awaited(account: Account) -> Account:
    """A person became known: whatever waited for one is looked at now."""
    return replace(
        account, runs=[replace(run, items=[_due_now(account, item) for item in run.items]) for run in account.runs]
    )


def _due_now(account: Account, item: Item) -> Item:
    known = item.user is None or item.user in account.contacts
    return replace(item, due=account.clock or item.due, waiting=False) if item.waiting and known else item


def _items(account: Account, run: Run) -> list[Item]:
    return next((other.items for other in account.runs if _same(other, run)), [])


def _with(account: Account, run: Run, items: list[Item]) -> Account:
    others = [other for other in account.runs if not _same(other, run)]
    return replace(account, runs=[*others, replace(run, items=items)] if items else others)


def _same(one: Run, other: Run) -> bool:
    return (one.play, one.occurrence) == (other.play, other.occurrence)
