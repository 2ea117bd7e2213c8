"""Each how-to is followed on a copy of the code: its steps work, ruff and mypy accept them, and none is needless."""

from pathlib import Path

import pytest

from tests.contract.house.files import ROOT
from tests.docs.following import HowTo, Step, copied, follow, linted, read, tried

FOLDER = ROOT / "docs" / "howto"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the copies: each page costs only the modules that it touches."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_how_to_works(page: Path, tmp_path: Path, mypy_cache: Path) -> None:
    howto, folder = read(page), copied(tmp_path)
    for step in howto.steps:
        follow(step, folder)

    before = definitions_in(folder)
    code, said = tried(howto.check, folder)

    assert code == 0, said
    assert definitions_in(folder) == before, "trying it out changed the definitions that everybody gets"
    assert linted(howto, folder, mypy_cache) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_step_of_a_how_to_is_needless(page: Path, tmp_path: Path) -> None:
    howto = read(page)
    for number, left_out in enumerate(howto.steps):
        folder = copied(tmp_path / str(number))
        for step in howto.steps:
            if step is not left_out:
                follow(step, folder)
        assert tried(howto.check, folder)[0] != 0, f"works without: {left_out}"


def test_every_how_to_is_listed() -> None:
    index = (FOLDER / "README.md").read_text("utf8")

    assert len(PAGES) > 1
    assert [page.name for page in PAGES if f"]({page.name})" not in index] == []


def test_a_page_is_read_as_steps_and_a_check(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# X\n\nIn `a/b.py`, below `import x`:\n\n```python\nimport y\n```\n\nTry it:\n\n```python\npass\n```\n", "utf8"
    )

    assert read(page) == HowTo([Step("In", "a/b.py", "", "below", "import x", "import y\n")], "pass\n")


def test_a_block_that_nothing_introduces_is_a_mistake(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Perhaps:\n\n```python\nx\n```\n\nTry it:\n\n```python\npass\n```\n", "utf8")

    with pytest.raises(ValueError, match="without a sentence"):
        read(page)


def test_a_line_is_put_where_the_page_says_with_the_margin_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("T = (\n    ONE,\n    TWO,\n)\n", "utf8")
    follow(Step("In", "a.py", "", "below", "ONE", "MORE,\n"), tmp_path)
    follow(Step("At the end of", "a.py", "", "", "", "U = T\n"), tmp_path)

    assert (tmp_path / "a.py").read_text("utf8") == "T = (\n    ONE,\n    MORE,\n    TWO,\n)\n\n\nU = T\n"
    with pytest.raises(ValueError, match="begins with 'GONE'"):
        follow(Step("In", "a.py", "", "above", "GONE", ""), tmp_path)


def test_a_line_is_looked_for_in_the_function_that_the_page_names(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f():\n    x\n\ndef g():\n    x\n", "utf8")
    follow(Step("In", "a.py", "g", "instead of", "x", "y\n"), tmp_path)

    assert (tmp_path / "a.py").read_text("utf8") == "def f():\n    x\n\ndef g():\n    y\n"


def definitions_in(folder: Path) -> dict[str, bytes]:
    """Every file under config/, with its content."""
    return {str(file): file.read_bytes() for file in sorted((folder / "config").rglob("*")) if file.is_file()}
