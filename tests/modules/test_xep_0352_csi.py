"""XEP-0352: Client State Indication."""

from typing import Any

import pytest

from codec.limits import ReaderLimits
from codec.stanza import Stanza
from codec.xml_reader import XmlReader
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.modules import xep_0352_csi
from xmppd.modules.xep_0352_csi import can_wait

ACTIVE = "<active xmlns='urn:xmpp:csi:0'/>"
INACTIVE = "<inactive xmlns='urn:xmpp:csi:0'/>"
HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"

COMPOSING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
TYPING = f"<message from='juliet@example.org/balcony' type='chat' id='typing'>{COMPOSING}</message>"
CHAT = f"<message from='juliet@example.org/balcony' type='chat' id='chat'><body>Hi</body>{COMPOSING}</message>"
EVENT = (
    "<message from='juliet@example.org' type='headline' id='event'>"
    "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:avatar:metadata'/></event></message>"
)
SELF_IN_ROOM = (
    "<presence from='room@conference.example.org/romeo' id='self'>"
    "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/><status code='110'/></x>"
    "</presence>"
)
OTHER_IN_ROOM = SELF_IN_ROOM.replace("<status code='110'/>", "").replace("'self'", "'other'")


def stanza(xml: str) -> Stanza:
    reader = XmlReader(ReaderLimits())
    event = reader.feed(HEADER + xml.encode())[-1]
    assert isinstance(event, Stanza)
    return event


def presence(jid: str, id_: str, type_: str = "") -> Stanza:
    attribute = f" type='{type_}'" if type_ else ""
    return stanza(f"<presence from='{jid}' id='{id_}'{attribute}/>")


def carbon(xml: str) -> str:
    inner = xml.replace("<message ", "<message xmlns='jabber:client' ", 1)
    forwarded = f"<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded>"
    return (
        f"<message from='romeo@example.org' type='chat' id='carbon'>"
        f"<received xmlns='urn:xmpp:carbons:2'>{forwarded}</received></message>"
    )


async def ids(client: Client) -> list[Any]:
    """Return the ids of the stanzas that have come."""
    return [one.id for one in await client.drain()]


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("xep_0198_sm", "xep_0199_ping", "xep_0352_csi")


@pytest.fixture
async def romeo(world: World) -> Client:
    return await world.client("romeo@example.org/orchard")


async def test_it_is_offered_once_the_client_has_logged_in(world: World) -> None:
    before = world.stranger().features
    after = (await world.login("romeo@example.org")).features
    assert before is not None and before.find("urn:xmpp:csi:0 csi") is None
    assert after is not None and after.find("urn:xmpp:csi:0 csi") is not None


async def test_active_client_gets_everything_at_once(romeo: Client) -> None:
    romeo.resource.send(presence("juliet@example.org/balcony", "p1"))
    assert await ids(romeo) == ["p1"]


async def test_inactive_client_gets_presence_when_it_becomes_active(romeo: Client) -> None:
    await romeo.send(INACTIVE)
    romeo.resource.send(presence("juliet@example.org/balcony", "p1"))
    await romeo.expect_nothing()
    await romeo.send(ACTIVE)
    assert await ids(romeo) == ["p1"]
    romeo.resource.send(presence("juliet@example.org/balcony", "p2"))
    assert await ids(romeo) == ["p2"]


async def test_only_the_last_presence_of_each_full_jid_is_sent(romeo: Client) -> None:
    await romeo.send(INACTIVE)
    romeo.resource.send(presence("juliet@example.org/balcony", "j1"))
    romeo.resource.send(presence("nurse@example.org/hall", "n1"))
    romeo.resource.send(presence("juliet@example.org/balcony", "j2", "unavailable"))
    romeo.resource.send(presence("juliet@example.org/chamber", "j3"))
    await romeo.send(ACTIVE)
    assert await ids(romeo) == ["n1", "j2", "j3"]


def typing(id_: str, state: str = "composing", resource: str = "balcony") -> Stanza:
    inner = f"<{state} xmlns='http://jabber.org/protocol/chatstates'/>"
    return stanza(f"<message from='juliet@example.org/{resource}' type='chat' id='{id_}'>{inner}</message>")


async def test_only_the_last_chat_state_of_each_full_jid_is_sent(romeo: Client) -> None:
    await romeo.send(INACTIVE)
    for one in (typing("a"), typing("b", "paused"), typing("c", "active", "garden"), typing("d", "inactive")):
        romeo.resource.send(one)
    romeo.resource.send(presence("juliet@example.org/balcony", "p"))
    await romeo.expect_nothing()
    await romeo.send(ACTIVE)
    assert await ids(romeo) == ["c", "d", "p"]


async def test_chat_state_that_the_message_makes_old_is_not_sent(romeo: Client) -> None:
    await romeo.send(INACTIVE)
    romeo.resource.send(typing("old"))
    romeo.resource.send(typing("other", "composing", "garden"))
    romeo.resource.send(stanza(CHAT))
    assert await ids(romeo) == ["other", "chat"]
    await romeo.send(ACTIVE)
    assert await ids(romeo) == []


async def test_message_brings_out_first_what_waits(romeo: Client) -> None:
    await romeo.send(INACTIVE)
    romeo.resource.send(presence("juliet@example.org/balcony", "p1"))
    romeo.resource.send(typing("typing", resource="garden"))
    romeo.resource.send(stanza(EVENT))
    romeo.resource.send(stanza(CHAT))
    assert await ids(romeo) == ["p1", "typing", "event", "chat"]
    romeo.resource.send(presence("juliet@example.org/balcony", "p2"))
    await romeo.expect_nothing()


async def test_what_stands_in_a_history_never_waits(romeo: Client) -> None:
    await romeo.send(INACTIVE)
    romeo.resource.send(stanza(TYPING), 7)
    assert await ids(romeo) == ["typing"]


async def test_answer_to_a_request_after_active_comes_after_what_waited(romeo: Client) -> None:
    ping = "<iq type='get' id='ping' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"
    await romeo.send(INACTIVE)
    romeo.resource.send(presence("juliet@example.org/balcony", "p1"))
    await romeo.send(ACTIVE + ping)
    assert await ids(romeo) == ["p1", "ping"]


async def test_full_gate_is_emptied_and_goes_on_holding(romeo: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xep_0352_csi, "MAX_HELD_STANZAS", 3)
    await romeo.send(INACTIVE)
    for number in range(4):
        romeo.resource.send(presence(f"juliet@example.org/{number}", str(number)))
    assert await ids(romeo) == ["0", "1", "2"]
    await romeo.send(ACTIVE)
    assert await ids(romeo) == ["3"]


async def test_gate_holds_no_more_bytes_than_the_limit(romeo: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xep_0352_csi, "MAX_HELD_BYTES", 100)
    await romeo.send(INACTIVE)
    for number in range(3):
        status = f"<status>{'x' * 30}</status>"
        romeo.resource.send(stanza(f"<presence from='juliet@example.org/b' id='{number}'>{status}</presence>"))
    await romeo.expect_nothing()
    romeo.resource.send(stanza(f"<presence from='nurse@example.org/h' id='n'><status>{'x' * 60}</status></presence>"))
    assert await ids(romeo) == ["2", "n"]


async def test_saying_inactive_twice_loses_nothing(romeo: Client) -> None:
    await romeo.send(INACTIVE)
    romeo.resource.send(presence("juliet@example.org/balcony", "p1"))
    await romeo.send(INACTIVE)
    await romeo.send(ACTIVE + ACTIVE)
    assert await ids(romeo) == ["p1"]


async def test_before_a_resource_is_bound_it_changes_nothing(world: World) -> None:
    client = await world.login("romeo@example.org")
    await client.send(INACTIVE + ACTIVE)
    assert client.connection.events == []


async def test_before_login_it_is_not_taken(world: World) -> None:
    stranger = world.stranger()
    await stranger.send(INACTIVE)
    assert stranger.connection.is_closing


async def test_what_waits_when_the_connection_breaks_is_sent_on_resumption(world: World, romeo: Client) -> None:
    await romeo.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    enabled = await romeo.next()
    await romeo.send(INACTIVE)
    romeo.resource.send(presence("juliet@example.org/balcony", "p1"))
    await romeo.disconnect()
    romeo.resource.send(presence("nurse@example.org/hall", "n1"))
    back = await world.login("romeo@example.org")
    await back.send(f"<resume xmlns='urn:xmpp:sm:3' previd='{enabled.get('id')}' h='0'/>")  # type: ignore[union-attr]
    assert await ids(back) == ["p1", "n1"]
    romeo.resource.send(presence("juliet@example.org/balcony", "p2"))
    assert await ids(back) == ["p2"], "a resumed stream begins active"


async def test_resumption_while_the_old_connection_stands_sends_what_waited(world: World, romeo: Client) -> None:
    await romeo.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    enabled = await romeo.next()
    await romeo.send(INACTIVE)
    romeo.resource.send(presence("juliet@example.org/balcony", "p1"))
    back = await world.login("romeo@example.org")
    await back.send(f"<resume xmlns='urn:xmpp:sm:3' previd='{enabled.get('id')}' h='0'/>")  # type: ignore[union-attr]
    assert await ids(back) == ["p1"]


async def test_gate_of_another_stream_lets_all_pass(romeo: Client) -> None:
    await romeo.send(INACTIVE)
    romeo.resource.send(presence("juliet@example.org/balcony", "p1"))
    romeo.resource.state(xep_0352_csi.Held).stream = None
    romeo.resource.send(presence("juliet@example.org/balcony", "p2"))
    assert await ids(romeo) == ["p1", "p2"]


async def test_ended_resource_keeps_nothing(romeo: Client) -> None:
    await romeo.send(INACTIVE)
    romeo.resource.send(presence("juliet@example.org/balcony", "p1"))
    await romeo.close()
    assert romeo.resource.gate is None


@pytest.mark.parametrize(
    "xml",
    [
        "<presence from='a@b/c'/>",
        "<presence from='a@b/c' type='unavailable'/>",
        OTHER_IN_ROOM,
        TYPING,
        TYPING.replace("</message>", "<thread>t</thread><no-store xmlns='urn:xmpp:hints'/></message>"),
        EVENT,
        carbon(TYPING),
    ],
)
def test_what_nobody_looks_at_can_wait(xml: str) -> None:
    assert can_wait(stanza(xml))


@pytest.mark.parametrize(
    "xml",
    [
        "<presence from='a@b' type='subscribe'/>",
        "<presence from='a@b' type='error'/>",
        SELF_IN_ROOM,
        "<iq from='a@b/c' type='result' id='1'/>",
        "<message from='a@b/c'/>",
        CHAT,
        TYPING.replace("type='chat'", "type='error'"),
        TYPING.replace("</message>", "<received xmlns='urn:xmpp:receipts' id='1'/></message>"),
        EVENT.replace("</message>", "<body>Hi</body></message>"),
        carbon(CHAT),
        carbon(CHAT.replace("<body>Hi</body>", "<c:body xmlns:c='jabber:client'>Hi</c:body>")),
        "<message from='a@b'><received xmlns='urn:xmpp:carbons:2'/></message>",
    ],
)
def test_what_matters_cannot_wait(xml: str) -> None:
    assert not can_wait(stanza(xml))
