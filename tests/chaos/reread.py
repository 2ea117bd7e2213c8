"""What leaves when notify reads its whole log once more? Nothing: every occasion has its row already."""

from pathlib import Path

from tests.chaos.books import Books
from tests.chaos.journal import lines
from tests.chaos.run import Running, quiet
from tests.chaos.sinks import HOOKS, MAILS

_TOPICS = ("lifecycle.v1", "advocacy.v1")


async def reread(on: Running, folder: Path) -> int:
    """How many messages left that were not waiting to leave anyway."""
    before, open_ones = _sent(folder), await _open(on.world.books)
    await _to_the_beginning(on)
    for slot in on.stage.fleet.of("notify"):
        on.stage.fleet.start(slot)
    await quiet(on)
    await on.stage.fleet.stop_all()
    return sum(name not in open_ones for name in _sent(folder)[len(before) :])


async def _to_the_beginning(on: Running) -> None:
    for (topic, part), span in (await on.world.bounds()).items():
        if topic in _TOPICS:
            here = f"consumer_group = 'notify' AND topic = '{topic}' AND partition = {part}"
            back = f"UPDATE consumer_cursor SET next_offset = {span.begin}, next_sequence = 0 WHERE {here}"
            await on.world.books.run("notify", back)


async def _open(books: Books) -> set[str]:
    rows = await books.rows("notify", "SELECT id FROM notify_delivery WHERE status IN ('pending', 'sending')")
    return {row["id"] for row in rows}


def _sent(folder: Path) -> list[str]:
    return [line["delivery"] for name in (MAILS, HOOKS) for line in lines(folder / name)]
