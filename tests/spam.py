"""Spam check: every shipped mail, with all data, through SpamAssassin's local rules. `make spam` runs it.

No network and no learning (`-L`), so the figures are the same everywhere. Ends with an error where a mail has LIMIT or more, and
where there is no `spamassassin`.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from email.message import EmailMessage
from pathlib import Path

from services.notify.channels.channel import Delivery
from services.notify.channels.email import build_message, parse_sender
from services.notify.channels.table import CHANNELS
from services.notify.definition import lifecycle_names, load_plays
from shared.clock import SystemClock
from tests.brand import branded_config
from tests.core.notify.test_mails import DATA, mails_with

LIMIT = 1.5
_SCORE = re.compile(r"Content analysis details:\s+\((-?[\d.]+) points")
_RULE = re.compile(r"^ *-?\d+\.\d (\w+)", re.MULTILINE)


def judged(program: str, mail: EmailMessage) -> tuple[float, list[str]]:
    """The points of a mail as a server would get it, and the rules that gave them."""
    received = "Received: from mail.acme-board.io (mail.acme-board.io [8.8.4.4]) by mx.customer.io with ESMTPS id 1; "
    raw = f"{received}{mail['Date']}\r\n".encode() + mail.as_bytes()
    said = subprocess.run([program, "-L", "-t"], input=raw, capture_output=True, check=True)  # noqa: S603  found by which
    report = said.stdout.decode("utf8", "replace")
    found = _SCORE.search(report)
    if found is None:
        raise ValueError("spamassassin gave no points")
    return float(found[1]), _RULE.findall(report)


def main() -> int:
    """Judge each; the exit code."""
    program = shutil.which("spamassassin")
    if program is None:
        print("there is no spamassassin: apt-get install spamassassin")  # noqa: T201
        return 2
    with tempfile.TemporaryDirectory() as folder:
        config = branded_config(Path(folder))
        company = load_plays(config, CHANNELS.traits, lifecycle_names(config / "lifecycle.yaml"))
        worst = 0.0
        for kind in ("rich", "bare"):
            for mail in mails_with(company, DATA[kind]):
                delivery = Delivery(
                    id="7c0e5c54-0000-5000-8000-000000000001",
                    account="blue-ocean",
                    play=mail.play.name,
                    step=mail.step.name,
                    outreach_class=mail.play.class_,
                    subject=mail.message.subject,
                    text=mail.message.text,
                    html=mail.message.html,
                    email="maximiliane@customer.io",
                    name="Maximiliane Roe",
                    unsubscribe="https://success.acme-board.io/notify/u/token",
                    reply_to="maren@acme-board.io",
                )
                sender = parse_sender("Acme Board <success@acme-board.io>")
                points, rules = judged(program, build_message(delivery, sender, SystemClock().now()))
                print(f"{points:5.1f}  {mail.play.name} {mail.step.name} ({kind}): {', '.join(rules)}")  # noqa: T201
                worst = max(worst, points)
    print(f"the most: {worst}, allowed: below {LIMIT}")  # noqa: T201
    return int(worst >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
