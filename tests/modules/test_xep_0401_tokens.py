"""XEP-0401: invitations as they are kept."""

import asyncio
import string

import pytest

from storage.memory import MemoryBackend
from xmppd.modules.xep_0401_tokens import STORE, Invite, Invites, TooManyInvites, key_of, landing_page, make_token

DOMAIN, NOW_S = "example.org", 1_000
TOKEN, OTHER = make_token(b"one"), make_token(b"two")


@pytest.fixture
def invites() -> Invites:
    return Invites(MemoryBackend().map(STORE), DOMAIN)


def test_token_is_of_letters_and_digits_and_130_bits_long():
    assert len(TOKEN) == 26 and set(TOKEN) <= set(string.ascii_lowercase + string.digits) and TOKEN != OTHER


@pytest.mark.parametrize(
    ("invite", "uri"),
    [
        (Invite(1, inviter="romeo@example.org", subscribes=True), "xmpp:romeo@example.org?roster;preauth=T"),
        (
            Invite(1, inviter="romeo@example.org", registers=True, subscribes=True),
            "xmpp:romeo@example.org?roster;preauth=T;ibr=y",
        ),
        (Invite(1, registers=True), "xmpp:example.org?register;preauth=T"),
        (
            Invite(1, inviter="a@example.org", registers=True, subscribes=True, username="juliet"),
            "xmpp:juliet@example.org?register;preauth=T",
        ),
    ],
)
def test_address_says_what_the_invitation_is_for(invite: Invite, uri: str) -> None:
    assert invite.uri(DOMAIN, "T") == uri


def test_landing_page_carries_the_address_and_is_none_without_a_setting():
    assert landing_page("https://x/i/#", "xmpp:a@b?roster;preauth=T") == "https://x/i/#a@b?roster;preauth=T"
    assert landing_page("", "xmpp:a@b") == ""


async def test_storage_holds_no_token(invites: Invites) -> None:
    await invites.add(TOKEN, Invite(NOW_S + 10, username="juliet"), NOW_S)
    kept = await invites._store.items(DOMAIN)
    assert set(kept) == {key_of(TOKEN), "@juliet"} and not any(TOKEN.encode() in data for data in kept.values())


@pytest.mark.parametrize("token", ["", OTHER, TOKEN + "x", TOKEN.upper(), "@juliet", key_of(TOKEN), "x" * 100_000])
async def test_wrong_token_finds_nothing(invites: Invites, token: str) -> None:
    await invites.add(TOKEN, Invite(NOW_S + 10, username="juliet"), NOW_S)
    assert await invites.find(token, NOW_S) is None


async def test_invitation_ends(invites: Invites) -> None:
    await invites.add(TOKEN, Invite(NOW_S + 10, username="juliet"), NOW_S)
    assert await invites.find(TOKEN, NOW_S + 9) is not None and await invites.reserved_for("juliet", NOW_S + 9)
    assert await invites.find(TOKEN, NOW_S + 10) is None and not await invites.reserved_for("juliet", NOW_S + 10)
    await invites.add(OTHER, Invite(NOW_S + 99), NOW_S + 10)
    assert set(await invites._store.items(DOMAIN)) == {key_of(OTHER)}


async def test_use_that_is_taken_is_nobody_elses_until_it_is_given_back(invites: Invites) -> None:
    await invites.add(TOKEN, Invite(NOW_S + 10, uses=2), NOW_S)
    key = key_of(TOKEN)
    taken = await asyncio.gather(*[invites.take(key) for _ in range(5)])
    assert [invite is not None for invite in taken].count(True) == 2
    assert await invites.find(TOKEN, NOW_S) is None
    await invites.settle(key, is_used=False)
    assert await invites.find(TOKEN, NOW_S) is not None
    await invites.settle(key, is_used=True)
    assert await invites.take(key) is not None
    await invites.settle(key, is_used=True)
    assert await invites.take(key) is None and await invites._store.items(DOMAIN) == {}


async def test_uses_written_at_once_all_count(invites: Invites) -> None:
    await invites.add(TOKEN, Invite(NOW_S + 10, uses=3), NOW_S)
    key = key_of(TOKEN)
    for _ in range(3):
        await invites.take(key)
    await asyncio.gather(*[invites.settle(key, is_used=True) for _ in range(3)])
    assert await invites._store.items(DOMAIN) == {}


async def test_open_invitations_of_one_inviter_are_bounded(invites: Invites) -> None:
    for number in range(3):
        await invites.add(make_token(bytes([number])), Invite(NOW_S + 10, inviter="a@example.org"), NOW_S, 3)
    with pytest.raises(TooManyInvites):
        await invites.add(TOKEN, Invite(NOW_S + 10, inviter="a@example.org"), NOW_S, 3)
    await invites.add(TOKEN, Invite(NOW_S + 10, inviter="b@example.org"), NOW_S, 3)
    await invites.forget_inviter("a@example.org")
    assert set(await invites._store.items(DOMAIN)) == {key_of(TOKEN)}
