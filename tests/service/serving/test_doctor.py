"""`waymark doctor`: says what is missing with what to do, fails while something is, and looks at the machine too."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.servers.ports import free_port
from shared.clock import SystemClock
from shared.keys import credentials
from shared.settings import Settings
from tests.conftest import ROOT, Deployment
from tests.make import FakeClock
from tests.service.notify.doors import Mailbox, mail_server
from waymark import migrations
from waymark.doctor import examine

READY = {"live_despite": "all"}


def _settings(folder: Path, **more: object) -> Settings:
    return Settings.model_validate({"data": folder, "config": ROOT / "config", "port": free_port(), **more})


async def test_a_fresh_installation_is_told_everything_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not await examine(_settings(tmp_path / "new"), SystemClock(), None)
    said = capsys.readouterr().out
    for word in ("Our Product", "WAYMARK_PUBLIC_URL", "WAYMARK_SMTP_URL", "WAYMARK_MAIL_FROM", "waymark up"):
        assert word in said


async def test_one_that_lacks_nothing_passes_and_its_test_mail_arrives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = Mailbox()
    async with mail_server(box) as port:
        settings = _settings(tmp_path, smtp_url=SecretStr(f"smtp://127.0.0.1:{port}"), **READY)
        assert await examine(settings, SystemClock(), "me@acme.test")
        assert "MISSING" not in capsys.readouterr().out
        box.to_rcpt = "550 no such person"
        assert not await examine(settings, SystemClock(), "you@acme.test")
    assert [mail["To"] for mail in box.mails] == ["me@acme.test"]


async def test_secrets_that_others_may_read_and_a_clock_never_set_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = _settings(tmp_path / "data", **READY)
    credentials(settings.data)
    (settings.data / "credentials.json").chmod(0o644)
    assert not await examine(settings, FakeClock(datetime(1970, 1, 2, tzinfo=UTC)), None)
    said = capsys.readouterr().out
    assert f"chmod 600 {settings.data / 'credentials.json'}" in said
    assert "1970-01-02" in said


async def test_keys_that_are_missing_are_named(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    settings = deployment.settings.model_copy(update={"port": free_port()})
    await asyncio.to_thread(migrations.migrate, settings, list(migrations.OWNERS))
    await examine(settings, SystemClock(), None)
    said = capsys.readouterr().out
    assert "--kind browser" in said
    assert "--kind server" not in said
    assert f"no notify answers at http://127.0.0.1:{settings.port}" in said
