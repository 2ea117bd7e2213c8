"""Persons: which addresses are one person, and what a refusal forbids."""

from services.notify.core.person import PersonKeys, mailbox_of, normalised_address
from services.notify.core.state import Refusal

KEYS = PersonKeys(b"a secret of this installation")


def test_one_mailbox_is_one_person_however_it_is_spelled() -> None:
    spellings = ("casey@consult.test", "Casey@Consult.TEST", "  casey@consult.test\n", "casey@consult.test.")
    assert len({KEYS.of_address(one) for one in spellings}) == 1
    read = (
        "Casey Lee <casey@consult.test>",
        "\ufeffcasey@consult.test",
        "ca\u200bsey@consult.test",
        '"Lee, C" <Casey@consult.test.>',
    )
    assert {KEYS.of_address(one) for one in read} == {KEYS.of_address(spellings[0])}
    assert KEYS.of_address("ann@müller.test") == KEYS.of_address("Ann@xn--mller-kva.test")


def test_a_tag_makes_another_address_and_no_other_mailbox() -> None:
    spellings = ("annlee@mail.test", "annlee+news@mail.test", "AnnLee+a+b@Mail.test.")
    assert len({KEYS.of_address(one) for one in spellings}) == 3
    assert {KEYS.of_mailbox(one) for one in spellings} == {KEYS.of_address("annlee@mail.test")}
    assert KEYS.of("annlee+news@mail.test", "ann") == [
        KEYS.of_address("annlee+news@mail.test"),
        KEYS.of_address("annlee@mail.test"),
        KEYS.of_user("ann"),
    ]
    assert mailbox_of("+news@mail.test") == "+news@mail.test", "nothing stands before the tag"


def test_dots_are_nothing_to_gmail_and_letters_to_everybody_else() -> None:
    assert {mailbox_of(one) for one in ("a.n.n@gmail.com", "ann+x@GoogleMail.com", "ann@gmail.com")} == {
        "ann@gmail.com"
    }
    assert mailbox_of("ann.lee@mail.test") != mailbox_of("annlee@mail.test")


def test_what_is_no_address_is_nobody() -> None:
    for text in (
        *(None, "", "  ", "ann", "@mail.test", "ann@", "ann@.", "<>", "a@b.test, c@d.test", "a@b.test;c@d.test"),
        *("ann lee@mail.test", "ann@mail\0.test", "\ud800", "Ann <ann>"),
    ):
        assert normalised_address(text) is None, text
        assert mailbox_of(text) is None, text


def test_a_key_tells_nothing_without_the_secret_and_an_address_is_no_user() -> None:
    assert KEYS.of_address("a@b.test") != PersonKeys(b"another secret of another one").of_address("a@b.test")
    assert KEYS.of_address("a@b.test") != KEYS.of_user("a@b.test")
    assert KEYS.of("a@b.test", None) == [KEYS.of_address("a@b.test")]


def test_a_no_leaves_what_concerns_the_account_and_a_dead_mailbox_nothing() -> None:
    for refusal in (Refusal("*", "unsubscribed"), Refusal("*", "imported")):
        assert refusal.forbids("value", "reports")
        assert not refusal.forbids("transactional", "payment")
    for refusal in (Refusal("*", "bounced"), Refusal("*", "complained")):
        assert refusal.forbids("value", "reports")
        assert refusal.forbids("transactional", "payment")


def test_a_no_to_a_topic_or_class_leaves_the_others() -> None:
    assert Refusal("reports", "unsubscribed").forbids("value", "reports")
    assert Refusal("survey", "unsubscribed").forbids("survey", "nps")
    assert not Refusal("reports", "unsubscribed").forbids("value", "tips")
