"""Persons: which addresses are one person, and what a refusal forbids."""

from services.notify.core.person import Person, PersonKeys, Refusal, normalised_address

KEYS = PersonKeys(b"a secret of this installation")


def test_one_mailbox_is_one_person_however_it_is_spelled() -> None:
    spellings = ("casey@consult.test", "Casey@Consult.TEST", "  casey@consult.test\n", "casey@consult.test.")
    assert len({KEYS.of_address(one) for one in spellings}) == 1
    assert KEYS.of_address("ann@müller.test") == KEYS.of_address("Ann@xn--mller-kva.test")


def test_tags_and_dots_make_another_mailbox() -> None:
    spellings = ("annlee@mail.test", "ann.lee@mail.test", "annlee+news@mail.test")
    assert len({KEYS.of_address(one) for one in spellings}) == 3


def test_what_is_no_address_is_nobody() -> None:
    for text in (None, "", "  ", "ann", "@mail.test", "ann@", "ann@."):
        assert normalised_address(text) is None, text


def test_a_key_tells_nothing_without_the_secret_and_an_address_is_no_user() -> None:
    assert KEYS.of_address("a@b.test") != PersonKeys(b"another secret of another one").of_address("a@b.test")
    assert KEYS.of_address("a@b.test") != KEYS.of_user("a@b.test")
    assert KEYS.of("a@b.test", None) == [KEYS.of_address("a@b.test")]


def test_a_no_leaves_what_concerns_the_account_and_a_dead_mailbox_nothing() -> None:
    for reason, transactional in (
        ("unsubscribed", False),
        ("imported", False),
        ("bounced", True),
        ("complained", True),
    ):
        person = Person((Refusal("*", reason),))  # type: ignore[arg-type]  a literal of the loop
        assert person.refusal("value", "reports"), reason
        assert bool(person.refusal("transactional", "payment")) is transactional, reason


def test_a_no_to_a_topic_or_class_leaves_the_others() -> None:
    person = Person((Refusal("reports", "unsubscribed"), Refusal("survey", "unsubscribed")))
    assert person.refusal("value", "reports")
    assert person.refusal("survey", "nps")
    assert person.refusal("value", "tips") is None
