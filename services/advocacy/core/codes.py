"""Which code does this advocate get? Seven letters that survive being read out on the telephone."""

from uuid import UUID

from shared.ids import derived

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No 0/O, 1/I/L, U: nothing that is mistaken for something else."""

LENGTH = 7


def code_of(account: str, user: str, attempt: int = 0) -> str:
    """The advocate's code; the next `attempt` gives another one when somebody already holds it."""
    number = UUID(derived("referral_code", account, user, attempt)).int
    letters = []
    for _ in range(LENGTH):
        number, letter = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return "".join(letters)


def read(text: str) -> str:
    """A code as a person typed it: any case, with blanks and dashes."""
    return "".join(letter for letter in text.upper() if letter.isalnum())[:32]
