"""Fixtures: small history files, and the real sample where it lies."""

import gzip
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write lines (objects, or raw text) into a file, gzipped where its name says so."""

    def write(*lines: Any, name: str = "history.ndjson") -> Path:
        raw = [line.encode() if isinstance(line, str) else msgspec.json.encode(line) for line in lines]
        plain = b"".join(line + b"\n" for line in raw)
        path = tmp_path / name
        path.write_bytes(gzip.compress(plain) if name.endswith(".gz") else plain)
        return path

    return write


@pytest.fixture
def oulad() -> Path:
    beside = Path(__file__).resolve().parents[3].parent / "shared"
    sample = Path(os.environ.get("WAYMARK_SHARED", beside)) / "data/oulad/sample_AAA_2013J_events.ndjson.gz"
    if not sample.exists():
        pytest.skip(f"the OULAD sample is not at {sample} (set WAYMARK_SHARED)")
    return sample
