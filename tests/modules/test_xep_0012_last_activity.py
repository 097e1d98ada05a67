"""XEP-0012: Last Activity."""

import pytest

from codec.stanza import IQ
from storage.interface import StorageFull
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.hooks import IQEvent, iq_received
from xmppd.modules.rfc_6121_roster import FROM, Contact, RosterModule
from xmppd.modules.xep_0012_last_activity import LastActivityModule

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
QUERY = "<query xmlns='jabber:iq:last'/>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world("rfc_6121_roster", "rfc_6121_presence", "xep_0030_disco", "xep_0012_last_activity")
    contact = Contact(FROM, is_listed=True).encode()
    await world.host().module(RosterModule).stores["items"].update(ROMEO, {JULIET: contact})
    return world


@pytest.fixture
async def juliet(world: World) -> Client:
    return await world.client(f"{JULIET}/balcony")


async def ask(client: Client, to: str) -> tuple[str | None, str] | str:
    """Return (seconds, status), or the condition of the error."""
    await client.send(f"<iq type='get' id='l' to='{to}'>{QUERY}</iq>")
    answer = await client.next_stanza()
    if answer.type == "error":
        return str(answer.element("jabber:client error").elements()[0].name)
    query = answer.elements()[0]
    return query.get("seconds"), query.text


async def test_subscriber_learns_when_the_account_left_and_with_what_words(world: World, juliet: Client) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    await romeo.send("<presence type='unavailable'><status>Heading &lt;Home&gt;</status></presence>")
    await romeo.disconnect()
    world.clock.advance(903.7)
    assert await ask(juliet, ROMEO) == ("903", "Heading <Home>")


async def test_lost_connection_counts_too_and_leaves_no_words(world: World, juliet: Client) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence><status>here</status></presence>")
    await romeo.disconnect()
    world.clock.advance(5)
    assert await ask(juliet, ROMEO) == ("5", "")


async def test_last_resource_counts(world: World, juliet: Client) -> None:
    first = await world.client(f"{ROMEO}/a", presence="<presence/>")
    second = await world.client(f"{ROMEO}/b", presence="<presence/>")
    await first.disconnect()
    world.clock.advance(10)
    await second.disconnect()
    world.clock.advance(10)
    assert await ask(juliet, ROMEO) == ("10", "")


async def test_account_that_is_there_was_active_now(world: World, juliet: Client) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    assert await ask(juliet, ROMEO) == ("0", "")
    assert await ask(romeo, ROMEO) == ("0", "")


async def test_account_that_never_was_there_has_no_last_activity(world: World, juliet: Client) -> None:
    await world.account(ROMEO)
    assert await ask(juliet, ROMEO) == "item-not-found"


async def test_stranger_is_forbidden_to_know(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    nurse = await world.client("nurse@example.org/room")
    assert await ask(nurse, ROMEO) == "forbidden"
    assert await ask(nurse, romeo.jid) == "forbidden"
    await romeo.expect_nothing()
    await romeo.disconnect()
    assert await ask(nurse, ROMEO) == "forbidden"


async def test_question_to_a_resource_goes_to_the_client(world: World, juliet: Client) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    other = await world.client(f"{ROMEO}/street")
    for client in (juliet, other):
        await client.send(f"<iq type='get' id='l' to='{romeo.jid}'>{QUERY}</iq>")
        await romeo.expect(f"<iq type='get' id='l' from='{client.jid}' to='{romeo.jid}'>{QUERY}</iq>")


async def test_question_without_sender_is_forbidden_and_others_pass(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    host, account = world.host(), romeo.resource.account
    answer = IQEvent(IQ(romeo.jid, None, "l", "result", None, QUERY.encode(), ("jabber:iq:last query",)), account)
    assert host.run_filter(iq_received, answer) is answer
    question = IQEvent(IQ(romeo.jid, None, "l", "get", None, QUERY.encode(), ("jabber:iq:last query",)), account)
    with pytest.raises(Exception, match="forbidden"):
        host.run_filter(iq_received, question)


async def test_domain_tells_its_uptime(world: World, juliet: Client) -> None:
    world.clock.advance(123_456)
    assert await ask(juliet, "example.org") == ("123456", "")


async def test_long_words_are_cut(world: World, juliet: Client) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    await romeo.send(f"<presence type='unavailable'><status>{'x' * 5000}</status></presence>")
    await romeo.disconnect()
    assert await ask(juliet, ROMEO) == ("0", "x" * 1000)


async def test_full_disk_keeps_nobody_from_leaving(world: World, juliet: Client) -> None:
    class Full:
        def set(self, *_: object) -> None:
            raise StorageFull("no room")

    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    world.host().module(LastActivityModule).stores["last"] = Full()
    await romeo.send("<presence type='unavailable'/>")
    assert not romeo.resource.is_available
