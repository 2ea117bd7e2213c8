"""Who holds which code, and who came with it? A code's lock orders everybody who judges by it, held by somebody or not."""

from collections.abc import Collection

import msgspec
from sqlalchemy import select, update

from services.advocacy.core.referral import Code, Referral
from services.advocacy.tables import code, referral, referrer
from shared.db.protocol import Read, Tx

_c, _r = code.c, referral.c
_encode = msgspec.msgpack.Encoder().encode
_code = msgspec.msgpack.Decoder(Code).decode
_referral = msgspec.msgpack.Decoder(Referral).decode


async def hold_codes(tx: Tx, names: Collection[str]) -> dict[str, Code | None]:
    """These codes locked in order, with who holds them. A code nobody holds has a row too: else who gives it out and who
    signs up with it could miss each other.
    """
    await tx.insert_new(code, [{"code": name} for name in sorted(names)])
    rows = await tx.among(select(_c.code, _c.body).with_for_update(), _c.code, names)
    return {row.code: _code(row.body) if row.body else None for row in rows}


async def hold_referrers(tx: Tx, accounts: Collection[str]) -> None:
    """Lock these accounts' right to be rewarded, in order: nobody else counts their month meanwhile."""
    await tx.insert_new(referrer, [{"account": account} for account in sorted(accounts)])
    await tx.among(select(referrer.c.account).with_for_update(), referrer.c.account, accounts)


async def issue(tx: Tx, one: Code) -> None:
    """Somebody holds the code from now on. The caller holds its lock and found it free."""
    values = {"account": one.account, "user": one.user, "issued_at": one.issued_at, "body": _encode(one)}
    await tx.run(update(code).where(_c.code == one.code).values(values))


async def held_code(read: Read, name: str) -> Code | None:
    """The code, if somebody holds it."""
    stored = await read.scalar(select(_c.body).where(_c.code == name))
    return _code(stored) if stored else None


async def code_of(read: Read, account: str, user: str) -> str:
    """The code this person holds; empty for none."""
    return str(await read.scalar(select(_c.code).where(_c.account == account, _c.user == user)) or "")


async def of_account(tx: Tx, name: str) -> Referral | None:
    """How the account was referred, as far as we know."""
    stored = await tx.scalar(select(_r.body).where(_r.account == name))
    return _referral(stored) if stored else None


async def of_code(tx: Tx, name: str) -> list[Referral]:
    """Everybody who came with the code, by id."""
    return [_referral(row.body) for row in await tx.all(select(_r.body).where(_r.code == name).order_by(_r.id))]


async def keep(tx: Tx, one: Referral, giver: str | None) -> None:
    """Write the referral; `giver` is the account that holds its code."""
    row = {"id": one.id, "account": one.account, "code": one.signup.code, "referrer": giver}
    await tx.upsert(referral, [{**row, "status": one.status, "body": _encode(one)}])
