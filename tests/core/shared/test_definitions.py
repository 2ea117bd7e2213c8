"""Definition files: what is wrong with a file is a sentence with its line, whatever the file holds."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

import msgspec
import pytest

from shared.definitions import DefinitionError, load, load_plain


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A struct within another."""

    RENAMED: ClassVar[Mapping[str, str]] = {"same_days": "same", "any_days": "any"}
    same: str = "90d"
    any: str = "30d"


class Mail(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="mail"):
    """One member of a union, of which only the one that is meant is asked for renamed keys."""

    DEFAULT_KIND: ClassVar[bool] = True
    RENAMED: ClassVar[Mapping[str, str]] = {"text": "template"}
    template: str = ""


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="note"):
    """Has a key that another member of the union had once."""

    text: str = ""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file with every shape in which a renamed key can stand."""

    RENAMED: ClassVar[Mapping[str, str]] = {"again": "cooldown"}
    name: str
    cooldown: Pause = Pause()
    by_name: dict[str, Pause] = {}
    steps: list[Mail | Note] = []
    mode: Literal["automatic", "manual"] = "manual"


def mistakes(tmp_path: Path, text: str | bytes) -> list[str]:
    file = tmp_path / "file.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DefinitionError) as caught:
        load(file, File)
    return [str(mistake).removeprefix(f"{tmp_path}/") for mistake in caught.value.mistakes]


def test_a_renamed_key_is_told_with_its_new_name_and_its_line(tmp_path: Path):
    assert mistakes(tmp_path, "name: x\nagain: 7d\n") == ["file.yaml:2: 'again' is now 'cooldown'"]


def test_renamed_keys_are_told_all_at_once_before_anything_else_and_however_deep(tmp_path: Path):
    text = "cooldown:\n  same_days: 3\nby_name:\n  a:\n    any_days: 3\nsteps:\n  - kind: mail\n    text: x\nbad: 1\n"
    assert mistakes(tmp_path, text) == [
        "file.yaml:2: 'same_days' is now 'same'",
        "file.yaml:5: 'any_days' is now 'any'",
        "file.yaml:8: 'text' is now 'template'",
    ]


def test_a_key_that_only_another_kind_renamed_is_fine(tmp_path: Path):
    file = tmp_path / "file.yaml"
    file.write_text("name: x\nsteps: [{kind: note, text: hello}]\n")
    assert load(file, File).value.steps == [Note("hello")]


def test_a_value_that_names_no_kind_is_of_the_default_one(tmp_path: Path):
    file = tmp_path / "file.yaml"
    file.write_text("name: x\nsteps: [{template: hello}, {kind: note, text: hello}, {}]\n")
    assert load(file, File).value.steps == [Mail("hello"), Note("hello"), Mail()]
    assert mistakes(tmp_path, "name: x\nsteps: [{text: x}]\n") == ["file.yaml:2: 'text' is now 'template'"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nsteps: " + "[" * 60 + "]" * 60, "file.yaml:1: nested too deeply"),
        ("name: x\nsteps: " + "[" * 20_000 + "]" * 20_000, "file.yaml:1: nested too deeply"),
        ("name: x\nsteps: &steps\n  - *steps\n", "file.yaml:1: nested too deeply"),
        ("name: x\nsteps: [", "file.yaml:2: not YAML: "),
        ("name: x\nmode: 2026-02-31\n", "file.yaml:2: not YAML: day"),
        (b"name: x\nmode: \xff\n", "file.yaml:2: not YAML: "),
        (b"name: x\nmode: a\0b\n", "file.yaml:2: not YAML: special characters are not allowed"),
        ("name: x\n? [a]\n: b\n", "file.yaml:2: not YAML: found unhashable key"),
        ("", "file.yaml:1: nothing stands here, and should be keys with values"),
        ("name: [x]\n", "file.yaml:1: a list stands here, and should be text"),
    ],
)
def test_what_the_yaml_parser_cannot_read_is_a_mistake_and_no_traceback(tmp_path: Path, text: str | bytes, said: str):
    (mistake,) = mistakes(tmp_path, text)
    assert mistake.startswith(said)


@pytest.mark.parametrize("read", [load_plain, lambda path: load(path, File)])
def test_a_file_that_is_missing_or_no_file_says_so(tmp_path: Path, read: Callable[[Path], object]):
    with pytest.raises(DefinitionError, match=r"none\.yaml:1: cannot be read: there is no such file"):
        read(tmp_path / "none.yaml")
    with pytest.raises(DefinitionError, match=r"cannot be read: Is a directory"):
        read(tmp_path)
