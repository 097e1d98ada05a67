"""XEP-0401: Easy User Onboarding: the commands."""

import pytest

from codec.jid import JID
from tests.modules.conftest import MakeWorld
from tests.support.invites import CREATE, INVITE, MODULES, SETTINGS, command, created, invited, subscription
from tests.support.world import World
from xmppd import accounts
from xmppd.modules.xep_0050_commands import CommandsModule
from xmppd.modules.xep_0401_invites import InvitesModule


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES, settings=SETTINGS)


def may(world: World, node: str, jid: str) -> bool:
    return bool(world.host().module(CommandsModule)._commands[node].may_run(JID.parse(jid)))


def test_everybody_invites_contacts_and_administrators_accounts(world: World) -> None:
    jids = ("admin@example.org/x", "romeo@example.org/x", "romeo@example.net/x", "example.org")
    assert [may(world, INVITE, jid) for jid in jids] == [True, True, False, False]
    assert [may(world, CREATE, jid) for jid in jids] == [True, False, False, False]


async def test_invitations_of_accounts_can_be_switched_off(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, settings=SETTINGS | {"registration.invite_contacts": False})
    assert may(world, INVITE, "admin@example.org/x") and not may(world, INVITE, "romeo@example.org/x")


async def test_contact_invitation_comes_at_once_with_its_end(world: World) -> None:
    romeo = await world.client("romeo@example.org/x")
    done = await command(romeo, INVITE)
    assert done.status == "completed"
    assert done.form.value("FORM_TYPE") == "urn:xmpp:invite#invitation"
    assert done.form.value("uri").startswith("xmpp:romeo@example.org?roster;preauth=")
    assert not done.form.value("uri").endswith("ibr=y") and done.form.value("landing-url") is None
    assert done.form.value("expire") == "2026-01-09T03:04:05Z"


async def test_invitation_names_page_and_account_where_settings_have_them(make_world: MakeWorld) -> None:
    more = {"registration.landing_page": "https://example.org/i/#", "registration.invite_accounts": True}
    world = await make_world(*MODULES, settings=SETTINGS | more)
    romeo = await world.client("romeo@example.org/x")
    form = (await command(romeo, INVITE)).form
    assert form.value("uri").endswith(";ibr=y")
    assert form.value("landing-url") == "https://example.org/i/#" + form.value("uri").removeprefix("xmpp:")


async def test_account_invitation_is_for_a_name_or_any(world: World) -> None:
    admin = await world.client("admin@example.org/x")
    assert (await created(admin)).value("uri").startswith("xmpp:example.org?register;preauth=")
    assert (await created(admin, username="Juliet")).value("uri").startswith("xmpp:juliet@example.org?register;")
    assert await created(admin, username="juliet") == "conflict"
    assert await created(admin, username="admin") == "conflict"
    assert await created(admin, username="a@b") == "not-acceptable"


async def test_one_account_has_few_open_invitations(world: World) -> None:
    romeo = await world.client("romeo@example.org/x")
    for _ in range(3):
        await invited(romeo)
    assert await command(romeo, INVITE) == "resource-constraint"
    world.clock.advance(8 * 86_400)
    await invited(romeo)


async def test_invitations_end_with_their_inviter(world: World) -> None:
    romeo = await world.client("romeo@example.org/x")
    await invited(romeo)
    await accounts.remove(world.host(), JID.parse("romeo@example.org"))
    assert await world.host().module(InvitesModule).stores["invites"].items("example.org") == {}


async def test_nobody_becomes_their_own_contact(world: World) -> None:
    await world.account("romeo@example.org")
    jid = JID.parse("romeo@example.org")
    await world.host().module(InvitesModule).make_contacts(jid, jid)
    assert await subscription(world, jid, jid) == "none"
