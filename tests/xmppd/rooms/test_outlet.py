"""What rooms send reaches clients of ours at once, others by the router, and nobody who blocks the room."""

from codec.element import Element
from codec.jid import JID
from codec.stanza import Message, Presence, Stanza
from tests.support.rooms import ROOM, bodies, den, enter, say
from tests.support.world import World


class Elsewhere:
    """Keeps what is for other servers."""

    def __init__(self) -> None:
        self.taken: list[Stanza] = []

    def take(self, stanza: Stanza) -> None:
        self.taken.append(stanza)


async def test_who_blocks_the_room_or_an_occupant_gets_nothing_of_it(world: World) -> None:
    romeo, juliet, mercutio = await den(world)
    for client, nick in ((juliet, "Juliet"), (mercutio, "Mercutio")):
        await enter(client, nick)
    block = f"<block xmlns='urn:xmpp:blocking'><item jid='{ROOM}/Romeo'/></block>"
    await juliet.send(f"<iq type='set' id='b'>{block}</iq>")
    await juliet.drain()
    await say(romeo, "one")
    await say(mercutio, "two")
    assert bodies(await juliet.drain()) == ["two"]


async def test_occupants_of_other_servers_get_it_by_the_router(world: World) -> None:
    romeo, _, _ = await den(world)
    world.shared.components.remote = elsewhere = Elsewhere()
    service = world.shared.components.find("conference.example.org")
    far = JID.parse("far@away.example/x")
    service.take(Presence.build(Element("http://jabber.org/protocol/muc x"), to=JID.parse(f"{ROOM}/Far"), from_=far))
    elsewhere.taken.clear()
    await say(romeo, "hello")
    assert [(stanza.to, stanza.from_) for stanza in elsewhere.taken] == [(far, f"{ROOM}/Romeo")]
    body = Element("jabber:client body", {}, ("hi",))
    service.take(Message.build(body, to=JID.parse(ROOM), from_=far, type="groupchat"))
    assert bodies(await romeo.drain()) == ["hello", "hi"]


async def test_payload_is_written_once_for_all(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    sent: list[Stanza] = []
    for client in (romeo, juliet):
        client.resource.gate = lambda stanza, _: sent.append(stanza) or True  # type: ignore[func-returns-value]
    await say(romeo, "hello")
    one, other = [stanza for stanza in sent if isinstance(stanza, Message)]
    assert one.inner is other.inner and one.to != other.to
