"""XEP-0445: Pre-Authenticated In-Band Registration."""

import asyncio

import pytest

from storage.interface import StorageFull
from tests.modules.conftest import MakeWorld
from tests.support.invites import MODULES, SETTINGS, created, invited, register, show, subscription, token_of
from tests.support.world import World
from xmppd.modules.xep_0445_preauth import FEATURE, WRONG_PER_HOUR

ADMIN, JULIET = "admin@example.org", "juliet@example.org"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES, settings=SETTINGS)


async def account_token(world: World, **values: object) -> str:
    admin = await world.client(f"{ADMIN}/x")
    return token_of((await created(admin, **values)).value("uri"))


async def exists(world: World, jid: str = JULIET) -> bool:
    return await world.shared.backend.accounts.get(jid) is not None


async def test_tokens_are_offered_to_strangers_alone(world: World) -> None:
    assert world.stranger().features.find(FEATURE) is not None
    assert (await world.login("romeo@example.org")).features.find(FEATURE) is None


async def test_token_lets_one_account_be_made_where_registration_is_closed(world: World) -> None:
    token = await account_token(world)
    stranger = world.stranger()
    assert await register(stranger, "juliet") == "not-allowed"
    assert await show(stranger, token) == ""
    assert await register(stranger, "juliet") == "" and await exists(world)
    assert await register(stranger, "second") == "not-allowed"
    assert await show(world.stranger(), token) == "item-not-found"


async def test_invited_and_inviter_are_contacts_and_the_inviter_hears_at_once(world: World) -> None:
    admin = await world.client(f"{ADMIN}/x", "<presence/>")
    await admin.send("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")
    await admin.next_stanza()
    token = token_of(await invited(admin))
    stranger = world.stranger()
    assert await show(stranger, token) == "" and await register(stranger, "juliet") == ""
    push = await admin.next_stanza()
    assert push.type == "set" and b"subscription='both'" in push.inner.replace(b'"', b"'")
    assert await subscription(world, ADMIN, JULIET) == await subscription(world, JULIET, ADMIN) == "both"
    juliet = await world.client(f"{JULIET}/x", "<presence/>")
    assert (await admin.next_stanza()).from_ == juliet.jid


async def test_account_invitation_makes_contacts_only_when_it_says_so(world: World) -> None:
    for name, wanted in (("juliet", "both"), ("nurse", "none")):
        token = await account_token(world, **{"roster-subscription": wanted == "both"})
        stranger = world.stranger()
        await show(stranger, token)
        assert await register(stranger, name) == ""
        assert await subscription(world, ADMIN, f"{name}@example.org") == wanted


async def test_reserved_name_is_for_its_token_alone(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, settings=SETTINGS | {"registration.open": True})
    token = await account_token(world, username="juliet")
    other = await account_token(world)
    assert await register(world.stranger(), "juliet") == "conflict"
    stranger = world.stranger()
    assert await show(stranger, other) == "" and await register(stranger, "juliet") == "conflict"
    invited_one = world.stranger()
    assert await show(invited_one, token) == ""
    assert await register(invited_one, "tybalt") == "not-acceptable"
    assert await register(invited_one, "juliet") == "" and await exists(world)


async def test_reserved_name_is_free_again_when_the_invitation_ends(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, settings=SETTINGS | {"registration.open": True})
    await account_token(world, username="juliet")
    world.clock.advance(8 * 86_400)
    assert await register(world.stranger(), "juliet") == ""


async def test_token_that_ends_after_it_was_shown_still_counts(world: World) -> None:
    token = await account_token(world)
    stranger = world.stranger()
    assert await show(stranger, token) == ""
    world.clock.advance(8 * 86_400)
    assert await show(world.stranger(), token) == "item-not-found"
    assert await register(stranger, "juliet") == ""


async def test_failed_registration_leaves_the_token_good(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await account_token(world)
    stranger = world.stranger()
    await show(stranger, token)
    assert await register(stranger, "admin") == "conflict"
    with monkeypatch.context() as patch:

        def full(_: object) -> object:
            raise StorageFull("no room")

        patch.setattr(world.shared.backend.accounts, "create", full)
        assert await register(stranger, "juliet") == "resource-constraint"
    assert await register(stranger, "juliet") == ""


async def test_of_two_who_use_a_token_at_once_one_gets_an_account(world: World) -> None:
    token = await account_token(world)
    strangers = [world.stranger() for _ in range(4)]
    for stranger in strangers:
        assert await show(stranger, token) == ""
    results = await asyncio.gather(*[register(one, f"name{number}") for number, one in enumerate(strangers)])
    assert sorted(results) == ["", "not-allowed", "not-allowed", "not-allowed"]


async def test_token_of_a_contact_invitation_makes_no_account_unless_allowed(world: World) -> None:
    romeo = await world.client("romeo@example.org/x")
    token = token_of(await invited(romeo))
    assert await show(world.stranger(), token) == "item-not-found"


@pytest.mark.parametrize("token", ["", "wrong", "@juliet", "x" * 5000])
async def test_wrong_token_opens_nothing(world: World, token: str) -> None:
    await account_token(world, username="juliet")
    stranger = world.stranger()
    assert await show(stranger, token) == "item-not-found"
    assert await register(stranger, "juliet") == "conflict" or not await exists(world)
    assert not await exists(world)


async def test_guessing_is_stopped_and_others_go_on(world: World) -> None:
    token = await account_token(world)
    guesser = world.stranger(address="192.0.2.1")
    for _ in range(WRONG_PER_HOUR):
        assert await show(guesser, "guess") == "item-not-found"
    assert await show(world.stranger(address="192.0.2.1"), token) == "resource-constraint"
    assert await show(world.stranger(address="192.0.2.2"), token) == ""
    world.clock.advance(3601)
    assert await show(guesser, token) == ""


async def test_token_of_one_stream_is_none_of_anothers(world: World) -> None:
    token = await account_token(world)
    assert await show(world.stranger(), token) == ""
    assert await register(world.stranger(), "juliet") == "not-allowed"
