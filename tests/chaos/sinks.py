"""Where do mails and webhooks end? In a process of their own, which no fault of the product can reach.

A word on its standard input orders a mood; on its standard output it says which moods struck.
"""

import asyncio
import sys
from pathlib import Path

from deploy.servers.ports import HOST
from tests.chaos.hook_sink import HookSink
from tests.chaos.journal import Journal
from tests.chaos.mail_sink import MailSink
from tests.chaos.moods import Moods
from tests.chaos.mortal import die_with

MAILS, HOOKS = "mails.jsonl", "hooks.jsonl"
FORGET = "forget"


async def main(folder: Path, mail_port: int, hook_port: int) -> None:
    moods = Moods(_tell)
    mail = MailSink(Journal(folder / MAILS), moods)
    hook = HookSink(Journal(folder / HOOKS), moods)
    async with (
        await asyncio.start_server(mail.serve, HOST, mail_port, limit=2**20),
        await asyncio.start_server(hook.serve, HOST, hook_port, limit=2**20),
    ):
        _tell("ready")
        orders = await _standard_input()
        while order := (await orders.readline()).decode().strip():
            moods.forget() if order == FORGET else moods.order(order)


def _tell(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    asyncio.run(main(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
