"""RunningServices counter: files and functions that run between a two-event post and the mail it leads to.

`python -m tests.journey.count_road` starts `waymark up` on SQLite in a folder of its own, with a mail server that takes
everything, posts one batch of two events (who Ann is, and her first use), and counts the code under services/, shared/ and waymark/
that runs until the mail is accepted and recorded: advocacy's too, which reads the same messages. Comprehensions, lambdas
and code that runs at import are no functions here. `--list` prints the files, most functions first.

It uses the command line, settings and REST only, so that it counts an older or newer tree alike (`--tree FOLDER`).
"""

import argparse
import asyncio
import base64
import json
import os
import re
import runpy
import shutil
import signal
import socket
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

_OURS = ("services/", "shared/", "waymark/")
_INLINE = {"<module>", "<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>", "<lambda>"}
_KEYS = {"write": "w" * 32, "read": "r" * 32, "admin": "a" * 32}
_RECORDED = 1.5  # seconds from the accepted mail to its row in the outbox, with room: repeated while more code is seen
_ANN = {"email": "ann@acme.test", "name": "Ann Lee", "role": "admin"}
_WHO = {"userId": "ann", "context": {"groupId": "acme"}}
_BATCH = [
    _WHO | {"type": "identify", "messageId": "1", "traits": _ANN},
    _WHO | {"type": "track", "messageId": "2", "event": "Feature Used", "properties": {"feature": "reports"}},
]


class RunningServices(NamedTuple):
    """What ran: file -> number of its functions."""

    functions: dict[str, int]

    def __str__(self) -> str:
        return f"{_figures(self.functions.values())}; without advocacy {_figures(self._without_advocacy())}"

    def _without_advocacy(self) -> Collection[int]:
        return [count for name, count in self.functions.items() if not name.startswith("services/advocacy/")]


def _figures(counts: Collection[int]) -> str:
    return f"{len(counts)} files, {sum(counts)} functions"


def serve(tree: Path, result: Path) -> None:
    """Be `waymark up`, and write down every function entered between SIGUSR1 and the SIGUSR2 since which none was new."""
    seen: set[CodeType] = set()
    counting, seen_before = False, 0

    def entered(frame: FrameType, event: str, _arg: Any) -> None:
        if counting and event == "call":
            seen.add(frame.f_code)

    def begin(*_: Any) -> None:
        nonlocal counting
        counting = True

    def end(*_: Any) -> None:
        nonlocal counting, seen_before
        if len(seen) > seen_before:
            seen_before = len(seen)
            return
        counting = False
        result.with_suffix(".new").write_text(json.dumps(_functions(tree, seen)), "utf8")
        result.with_suffix(".new").rename(result)

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    threading.setprofile(entered)
    sys.setprofile(entered)
    sys.path.insert(0, str(tree))
    sys.argv = ["waymark", "up"]
    runpy.run_module("waymark", run_name="__main__")


def _functions(tree: Path, seen: set[CodeType]) -> dict[str, int]:
    names = [_inside(tree, code.co_filename) for code in seen if code.co_name not in _INLINE]
    return dict(Counter(name for name in names if name.startswith(_OURS)).most_common())


def _inside(tree: Path, file: str) -> str:
    path = Path(file)
    return path.relative_to(tree).as_posix() if path.is_relative_to(tree) else ""


async def counted(tree: Path, folder: Path) -> RunningServices:
    """Run the product over the batch. Raises TimeoutError when no mail comes."""
    accepted = asyncio.Event()
    server = await asyncio.start_server(lambda reader, writer: _take_mail(reader, writer, accepted), "127.0.0.1", 0)
    async with server:
        smtp, port = server.sockets[0].getsockname()[1], _free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            "--serve",
            str(folder / "road.json"),
            "--tree",
            str(tree),
            cwd=folder,
            env=_environment(tree, folder, smtp, port),
        )
        try:
            async with asyncio.timeout(180):
                await _until_ready(process, port)
                process.send_signal(signal.SIGUSR1)
                await asyncio.to_thread(_post, port)
                await accepted.wait()
                while not (folder / "road.json").exists():
                    await asyncio.sleep(_RECORDED)
                    process.send_signal(signal.SIGUSR2)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
    return RunningServices(json.loads((folder / "road.json").read_text("utf8")))


def _environment(tree: Path, folder: Path, smtp: int, port: int) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("WAYMARK_")}
    keys = ",".join(f"{kind}:road:{key}" for kind, key in _KEYS.items())
    return own | {
        "PYTHONPATH": str(tree),
        "WAYMARK_DATA": str(folder / "data"),
        "WAYMARK_CONFIG": str(_awake_at_night(tree, folder)),
        "WAYMARK_PORT": str(port),
        "WAYMARK_KEYS": keys,
        "WAYMARK_SECRET": "s" * 32,
        "WAYMARK_SMTP_URL": f"smtp://127.0.0.1:{smtp}",
        "WAYMARK_OUTREACH": "live",
        "WAYMARK_LIVE_DESPITE": "all",
    }


def _awake_at_night(tree: Path, folder: Path) -> Path:
    """The shipped definition without quiet hours: the mail leaves whenever this runs."""
    config = Path(shutil.copytree(tree / "config", folder / "config"))
    budget = (config / "budget.yaml").read_text("utf8")
    awake = re.sub(r"(?m)^quiet:.*$", 'quiet: {from: "12:00", until: "12:00", weekends: false}', budget)
    (config / "budget.yaml").write_text(awake, "utf8")
    return config


async def _until_ready(process: asyncio.subprocess.Process, port: int) -> None:
    while not all([await asyncio.to_thread(_answers, port, name) for name in ("ingest", "lifecycle", "notify")]):
        if process.returncode is not None:
            raise RuntimeError("waymark up ended by itself")
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)


def _answers(port: int, service: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{service}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _post(port: int) -> None:
    key = base64.b64encode(f"{_KEYS['write']}:".encode()).decode()
    headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json"}
    body = json.dumps({"batch": _BATCH}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/v1/batch", body, headers)) as answer:
        answer.read()


async def _take_mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, accepted: asyncio.Event) -> None:
    """As much of an SMTP server as a client needs."""
    writer.write(b"220 road\r\n")
    while line := (await reader.readline()).strip().upper():
        if line == b"DATA":
            writer.write(b"354 go on\r\n")
            await reader.readuntil(b"\r\n.\r\n")
            accepted.set()
        writer.write(b"221 bye\r\n" if line == b"QUIT" else b"250 fine\r\n")
        await writer.drain()
        if line == b"QUIT":
            break
    writer.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[2], help="the working copy to count")
    parser.add_argument("--list", action="store_true", help="print the files, most functions first")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    tree = given.tree.resolve()
    if given.serve:
        serve(tree, given.serve)
        return
    with tempfile.TemporaryDirectory(prefix="waymark-road-") as folder:
        road = asyncio.run(counted(tree, Path(folder)))
    if given.list:
        sys.stdout.write("".join(f"{count:4} {name}\n" for name, count in road.functions.items()))
    sys.stdout.write(f"{road}\n")


if __name__ == "__main__":
    main()
