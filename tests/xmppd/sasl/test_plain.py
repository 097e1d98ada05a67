"""SASL PLAIN."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.interface import AccountRecord
from xmppd.errors import SaslError
from xmppd.sasl.keys import make_keys
from xmppd.sasl.mechanism import Challenge, Success
from xmppd.sasl.password_work import PasswordWork, TooBusy
from xmppd.sasl.plain import Plain
from xmppd.sasl.unknown import UnknownAccounts

UNKNOWN = UnknownAccounts(b"a secret of the server", "example.org", 64)
KEYS = make_keys("soft! what light", 64)


class Accounts:
    async def get(self, localpart: str) -> AccountRecord | None:
        if localpart == "mercutio":
            return AccountRecord("mercutio@example.org", KEYS, disabled=True)
        return AccountRecord("romeo@example.org", KEYS) if localpart == "romeo" else None


class Recording(PasswordWork):
    """Notes whose password was checked."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[AccountRecord] = []

    async def verify(self, record: AccountRecord, password: str) -> bool:
        self.records.append(record)
        return await super().verify(record, password)


async def step(data: bytes, work: PasswordWork | None = None) -> Challenge | Success:
    return await Plain(Accounts(), UNKNOWN, work or PasswordWork()).step(data)


async def refusal(data: bytes, work: PasswordWork | None = None) -> str:
    with pytest.raises(SaslError) as caught:
        await step(data, work)
    return caught.value.condition


@pytest.mark.parametrize(
    "message",
    [
        b"\0romeo\0soft! what light",
        b"\0ROMEO\0soft! what light",
        b"romeo@example.org\0romeo\0soft! what light",
        b"Romeo@EXAMPLE.org\0romeo\0soft! what light",
    ],
)
async def test_right_password_succeeds(message):
    assert await step(message) == Success(b"", "romeo")


@pytest.mark.parametrize(
    "message",
    [
        b"\0romeo\0soft! what light ",
        b"\0romeo\0" + b"x" * 9000,
        b"\0tybalt\0soft! what light",
        b"\0mercutio\0wrong",
        b"\0rom eo\0soft! what light",
        b"\0" + b"x" * 1024 + b"\0p",
    ],
)
async def test_wrong_password_or_unknown_account_is_not_authorized(message):
    assert await refusal(message) == "not-authorized"


async def test_unknown_account_costs_one_password_check_like_a_known_one():
    work = Recording()
    await refusal(b"\0tybalt\0soft! what light", work)
    await refusal(b"\0romeo\0wrong", work)
    unknown, known = (record.keys["SHA-256"] for record in work.records)
    assert unknown.iterations == known.iterations
    assert len(unknown.salt) == len(known.salt)


@pytest.mark.parametrize("authzid", [b"juliet@example.org", b"romeo@example.com", b"romeo", b"@"])
async def test_other_authzid_is_invalid(authzid):
    assert await refusal(authzid + b"\0romeo\0soft! what light") == "invalid-authzid"


async def test_disabled_account_with_the_right_password_is_told_so():
    assert await refusal(b"\0mercutio\0soft! what light") == "account-disabled"


@pytest.mark.parametrize(
    "message",
    [
        b"x",
        b"romeo\0pw",
        b"\0romeo\0pw\0",
        b"\0\0pw",
        b"\0romeo\0",
        b"\0\xff\0pw",
        b"\0romeo\0\xff",
        b"\xff\0romeo\0pw",
    ],
)
async def test_broken_message_is_malformed(message):
    assert await refusal(message) == "malformed-request"


async def test_absent_initial_response_is_asked_for_once():
    mechanism = Plain(Accounts(), UNKNOWN, PasswordWork())
    assert await mechanism.step(b"") == Challenge(b"")
    assert await mechanism.step(b"\0romeo\0soft! what light") == Success(b"", "romeo")
    mechanism = Plain(Accounts(), UNKNOWN, PasswordWork())
    await mechanism.step(b"")
    with pytest.raises(SaslError):
        await mechanism.step(b"")


async def test_too_many_logins_at_once_are_a_temporary_failure():
    class Full(PasswordWork):
        async def verify(self, record: AccountRecord, password: str) -> bool:
            raise TooBusy

    assert await refusal(b"\0romeo\0soft! what light", Full()) == "temporary-auth-failure"


@given(st.one_of(st.binary(max_size=60), st.lists(st.binary(max_size=9), min_size=3, max_size=3).map(b"\0".join)))
async def test_garbage_raises_nothing_but_sasl_errors(message):
    with contextlib.suppress(SaslError):
        assert await step(message) == Challenge(b"")


async def test_right_password_alone_is_handed_on():
    seen: list[tuple[str, str]] = []

    def note(record: AccountRecord, password: str) -> None:
        seen.append((record.jid, password))

    await Plain(Accounts(), UNKNOWN, PasswordWork(), note).step(b"\0romeo\0soft! what light")
    for message in (b"\0romeo\0wrong", b"\0mercutio\0soft! what light", b"\0nobody\0soft! what light"):
        with contextlib.suppress(SaslError):
            await Plain(Accounts(), UNKNOWN, PasswordWork(), note).step(message)
    assert seen == [("romeo@example.org", "soft! what light")]
