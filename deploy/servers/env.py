"""Environment: the URLs that a shell needs to work with the running servers."""

import shlex
from collections.abc import Mapping
from pathlib import Path

NAME = "env"


def lines(variables: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def write(directory: Path, variables: Mapping[str, str]) -> Path:
    """Write the file a shell reads by `. .servers/env`; none while nothing runs, for it would name what is not there."""
    kept = directory / NAME
    if not variables:
        kept.unlink(missing_ok=True)
        return kept
    aside = directory / f"{NAME}.new"
    aside.touch(mode=0o600)  # it holds the password of the database
    aside.write_text(lines(variables), encoding="utf-8")
    aside.replace(kept)
    return kept
