"""Is this the same person, or the same company, behind two e-mail addresses?"""

from collections.abc import Collection, Iterable

_DOTS_MEAN_NOTHING = {"gmail.com", "googlemail.com"}


def normalised(email: str) -> str:
    """The mailbox behind an address: case, a +tag, and Gmail's dots do not make another one."""
    local, _, domain = email.strip().lower().rpartition("@")
    local = local.split("+", 1)[0]
    if domain in _DOTS_MEAN_NOTHING:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def domain_of(email: str) -> str:
    return email.strip().lower().rpartition("@")[2]


def company_domains(emails: Iterable[str], free_mail: Collection[str]) -> tuple[str, ...]:
    """The domains that name a company: a shared provider's says nothing about who works where."""
    return tuple(sorted({domain_of(email) for email in emails if "@" in email} - set(free_mail)))
