"""Adding and removing registrations; `tests/modules/test_xep_0357_*.py` do it by stanzas."""

from collections.abc import AsyncIterator

import pytest

from codec.jid import JID
from tests.support.push.world import PushWorld
from xmppd.errors import StanzaError
from xmppd.modules.xep_0386_bind2 import Installation
from xmppd.waking.registrations import Registration, Settings

JULIET = JID.parse("juliet@example.org/phone")


@pytest.fixture
async def push() -> AsyncIterator[PushWorld]:
    made = await PushWorld.create()
    await made.world.client(JULIET, "<presence/>")
    yield made
    await made.service.close()


def device(**more: str) -> Registration:
    return Registration(**({"key": "", "gateway": "apns", "token": "t"} | more))


async def test_a_registration_is_bound_to_resource_and_installation(push):
    account = push.world.host().accounts[JULIET.bare]
    account.resources["phone"].state(Installation).id = "u-u-i-d"
    key = await push.module.registering.add_for(JULIET, device(name="x" * 200))
    kept = push.wakings(JULIET.bare).registrations[key]
    assert (kept.resource, kept.agent, len(kept.name)) == ("phone", "u-u-i-d", 100)


async def test_a_new_token_of_the_same_installation_takes_the_place_of_the_old_one(push):
    push.world.host().accounts[JULIET.bare].resources["phone"].state(Installation).id = "u-u-i-d"
    first = await push.module.registering.add_for(JULIET, device())
    assert await push.module.registering.add_for(JULIET, device(token="new")) == first
    assert [one.token for one in push.wakings(JULIET.bare).registrations.values()] == ["new"]


async def test_a_token_for_calls_is_checked_too(push):
    with pytest.raises(StanzaError) as found:
        await push.module.registering.add_for(JULIET, device(token=""))
    assert found.value.condition == "not-acceptable"


async def test_without_push_nothing_is_registered(push):
    push.world.shared.push = None
    with pytest.raises(StanzaError) as found:
        await push.module.registering.add_for(JULIET, device())
    assert found.value.condition == "service-unavailable"


async def test_nobody_registers_for_an_account_that_is_not_there(push):
    with pytest.raises(StanzaError) as found:
        await push.module.registering.account(JID.parse("nobody@example.org"))
    assert found.value.condition == "item-not-found"


async def test_what_is_removed_is_counted_once(push):
    key = await push.module.registering.add_for(JULIET, device())
    account = await push.module.registering.account(JULIET.bare)
    assert await push.module.registering.remove(account, [key, "other"]) == 1
    assert await push.module.registering.remove(account, [key]) == 0


async def test_settings_are_kept(push):
    account = await push.module.registering.account(JULIET.bare)
    await push.module.registering.keep_settings(account, Settings(content="full"))
    assert (await push.module.registrar.load(JULIET.bare)).settings.content == "full"
