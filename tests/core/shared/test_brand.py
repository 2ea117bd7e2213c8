"""Brand: who writes, read from one file with helpful mistakes, and who answers for an account."""

import shutil
from pathlib import Path

import pytest

from shared.brand import Answering, Brand, Csm, answering, load_brand
from shared.definitions import DefinitionError

CONFIG = Path(__file__).parents[3] / "config"
HOUSE = "product: Old Product\nsender: We\napp_url: https://app.test\naddress: Here 1\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shutil.copy(CONFIG / "brand.yaml", tmp_path)
    (tmp_path / "templates").mkdir()
    return tmp_path


def mistakes(config: Path) -> list[str]:
    with pytest.raises(DefinitionError) as error:
        load_brand(config)
    return [str(mistake).removeprefix(f"{config}/") for mistake in error.value.mistakes]


def test_the_shipped_brand_says_what_every_text_may_read_and_no_link_that_nobody_gave():
    names = load_brand(CONFIG).names
    assert names["product"] == "Our Product"
    assert names["billing_url"] == names["app_url"] == "https://app.example.com"
    assert "reviews_url" not in names


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("colour: blue", "brand.yaml:7: 'blue' is no colour: write it as '#2457d6', in quotes"),
        ("app_url: app.example.com", "'app.example.com' is no address of a page: it begins with https://"),
        ("logo: http://a.test/l.png", "an address that begins with https://"),
        ("logo_width: 4000", "from 40 to 400 pixels"),
        ("lang: English", "'English' is no language"),
        ("from: Kim", "'Kim' is no mail address"),
        ("reply_to: no-reply@a.test", "answers need an address that somebody reads"),
        ("links: {review: https://a.test}", "unknown key 'review'; did you mean 'reviews'?"),
        ("links: {reviews: a.test}", "'a.test' is no address of a page"),
        ("csms: {kim: {name: Kim, email: kim}}", "'kim' is no mail address"),
        ('sender: ""', "'sender' is empty: every mail says it"),
        ("product: Ours", "'product' is now 'name'"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_was_meant(config: Path, line: str, told: str):
    key = line.partition(":")[0]
    kept = [one for one in (config / "brand.yaml").read_text("utf8").splitlines() if not one.startswith(f"{key}:")]
    (config / "brand.yaml").write_text("\n".join([*kept[:6], line, *kept[6:]]), "utf8")
    assert any(told in mistake for mistake in mistakes(config)), mistakes(config)


def test_who_writes_may_still_be_said_where_it_was(config: Path):
    (config / "brand.yaml").unlink()
    assert mistakes(config) == ["brand.yaml:1: cannot be read: there is no such file"]
    (config / "templates" / "house.yaml").write_text(HOUSE, "utf8")
    assert load_brand(config) == Brand(name="Old Product", sender="We", app_url="https://app.test", address="Here 1")


def test_who_writes_is_not_said_in_two_places(config: Path):
    (config / "templates" / "house.yaml").write_text(HOUSE, "utf8")
    (told,) = mistakes(config)
    assert told.startswith("templates/house.yaml:1: who writes is said in brand.yaml now ('product' is 'name' there)")


BRAND = Brand(
    name="P",
    sender="We",
    app_url="https://a.test",
    address="-",
    reply_to="hello@ours.test",
    csms={"Maren": Csm("Maren Solheim", "maren@elsewhere.test")},
)


@pytest.mark.parametrize(
    ("csm", "email", "who"),
    [
        ("maren", "", Answering("Maren Solheim", "maren@elsewhere.test")),
        ("Kim Lee", "kim@ours.test", Answering("Kim Lee", "kim@ours.test")),
        ("kim@ours.test", "", Answering("", "kim@ours.test")),
        ("Kim Lee", "kim@evil.test", Answering("Kim Lee", "hello@ours.test")),
        ("Kim Lee", "kim@ours.test.evil.test", Answering("Kim Lee", "hello@ours.test")),
        ("Kim Lee", "a@b@ours.test", Answering("Kim Lee", "hello@ours.test")),
        ("u_4711", "", Answering("", "hello@ours.test")),
        ("", "", Answering("", "hello@ours.test")),
    ],
)
def test_answers_go_to_the_csm_where_the_address_is_ours_or_listed(csm: str, email: str, who: Answering):
    assert answering(BRAND, csm, email, "Us <us@ours.test>") == who


def test_without_anybody_named_answers_go_to_the_sender():
    plain = Brand(name="P", sender="We", app_url="https://a.test", address="-")
    assert answering(plain, "", "", "Us <us@ours.test>").address == ""
