"""The reference is what the code is: every setting, command, key, error code, metric and resource stands there, and no other."""

from pathlib import Path

import msgspec
import pytest
from pydantic_settings import BaseSettings

from shared.settings import Settings
from tests.docs.raised import raised
from tests.docs.reference import (
    BLOCKS,
    FOLDER,
    blocks_of,
    errors,
    fresh,
    keys_of,
    product,
    settings_table,
    table,
)
from waymark.cli import app
from waymark.schemas import DEFINITION_FILES, DefinitionFile, definition_schema

PAGES = sorted(FOLDER.glob("*.md"))
EVERYTHING = "\n".join(page.read_text("utf8") for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_of_the_reference_is_what_the_code_is(page: Path) -> None:
    text = page.read_text("utf8")

    assert text == fresh(text), "run: make reference"


def test_each_block_stands_in_one_page() -> None:
    assert sorted(block for page in PAGES for block in blocks_of(page.read_text("utf8"))) == sorted(BLOCKS)


def test_every_page_is_listed_in_the_index() -> None:
    index = (FOLDER / "README.md").read_text("utf8")

    assert [page.name for page in PAGES if page.name != "README.md" and f"]({page.name})" not in index] == []


@pytest.mark.parametrize("file", DEFINITION_FILES, ids=[file.name for file in DEFINITION_FILES])
def test_a_definition_file_has_its_page(file: DefinitionFile) -> None:
    assert f"keys-{file.name}" in blocks_of((FOLDER / file.page).read_text("utf8"))


def test_every_setting_is_in_the_reference_and_says_what_it_is() -> None:
    assert [name for name in Settings.model_fields if f"| `WAYMARK_{name.upper()}` |" not in EVERYTHING] == []
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("file", DEFINITION_FILES, ids=[file.name for file in DEFINITION_FILES])
def test_every_key_of_a_definition_file_says_what_it_is(file: DefinitionFile) -> None:
    parts = definition_schema(file)["$defs"]
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        if len(part["properties"].get("kind", {}).get("enum", ())) != 1  # kinds of metrics and steps say it together
        for key, value in part["properties"].items()
        if not value.get("description")
    ]

    assert silent == []


def test_every_command_is_in_the_reference() -> None:
    names = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]

    assert len(names) > 4
    assert [name for name in names if f"### `waymark {name}`" not in EVERYTHING] == []


def test_every_error_code_is_in_the_reference() -> None:
    codes = {error.code.replace("...", "*") for error in raised()} - {"*", "refused"}

    assert len(codes) > 30
    assert [code for code in sorted(codes) if f"| `{code}` |" not in EVERYTHING] == []


def test_every_metric_is_in_the_reference() -> None:
    names = [name for name, _, _ in product().metrics]

    assert {"waymark_lag", "waymark_loop_running"} <= set(names)
    assert [name for name in names if f"| `{name}` |" not in EVERYTHING] == []


def test_what_is_added_to_the_code_makes_the_page_stale() -> None:
    class Filed(msgspec.Struct, frozen=True):
        old: str

    class Grown(Filed, frozen=True):
        new: int = 3
        """How many."""

    def keys(model: type[msgspec.Struct]) -> str:
        return keys_of(DefinitionFile("planted", "planted.yaml", model, "planted.md"))

    page = "by hand\n<!-- generated: planted -->\n<!-- end -->\nby hand too\n"
    before = fresh(page, {"planted": lambda: keys(Filed)})

    assert before == fresh(before, {"planted": lambda: keys(Filed)})
    assert before != fresh(before, {"planted": lambda: keys(Grown)})
    assert "| `new` | integer | `3` | How many. |" in keys(Grown)
    assert before.partition("<!--")[0] == "by hand\n"
    assert before.rpartition("-->")[2] == "\nby hand too\n"


def test_a_planted_setting_and_a_planted_error_are_found() -> None:
    class Planted(BaseSettings):
        depth: int = 3

    planted = raised([Path("tests/docs/planted_errors.py")])

    assert "`WAYMARK_DEPTH`" in settings_table(Planted)
    assert {error.code for error in planted} == {
        "planted_refusal",
        "planted_dead_letter",
        "planted_problem",
        "unavailable",
    }
    assert "| `planted_refusal` | 418 | no ... here |" in errors(planted, dead_letters=False)
    assert "planted_dead_letter" in errors(planted, dead_letters=True)


def test_a_block_that_nothing_generates_is_a_mistake() -> None:
    with pytest.raises(KeyError, match="gone"):
        fresh("<!-- generated: gone -->\n<!-- end -->\n")


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert table(("a",), [("x | y",)]) == "| a |\n| --- |\n| x \\| y |\n"
